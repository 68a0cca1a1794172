"""donch: the signal bar itself is in neither range."""

from __future__ import annotations

from workbook.block_sheet import Block, Line, Test

BLOCK = Block(
    algorithm="donch",
    title="a close above the Donchian channel, on volume",
    rule="Buy when C > the highest high of the n bars before t, and V > v * mean V of the m bars before t.",
    units={"n": "bars", "m": "bars", "v": "times"},
    tests=(
        Test("C at t > highest high of n bars", "{close.now}", ">", "{top}"),
        Test("V at t > v*mean V of m bars", "{volume.now}", ">", "{v}*({total}/{m})"),
    ),
    lines=(
        Line("top", "highest high of n bars", "MAX(INDEX({high.all},2):INDEX({high.all},{n}+1))", "$"),
        Line("total", "volume of m bars", "SUM(INDEX({volume.all},2):INDEX({volume.all},{m}+1))", "shares"),
    ),
    notes=("The bars are on Work; this block needs no columns of its own.",),
)
