"""bb: measured from the signal close, so that a flat window gives exactly zero."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test

BLOCK = Block(
    algorithm="bb",
    title="below the lower Bollinger band, yet above the close of m bars ago",
    rule="Buy when C < SMA(n) - k*sigma(n), asked as SMA(n) - C > k*sigma(n) (population), and C > C at t-m.",
    units={"n": "bars", "k": "sigmas", "m": "bars"},
    tests=(
        Test("SMA(n) - C at t > k*sigma(n)", "{mean}", ">", "{k}*SQRT({variance})"),
        Test("C at t > C at t-m", "{close.now}", ">", "INDEX({close.all},{m}+1)"),
    ),
    lines=(
        Line("mean", "SMA(n) - C at t", "{sum.now}/{n}", "$"),
        Line("variance", "sigma(n) squared", "MAX({squares.now}/{n}-{mean}*{mean},0)", "$ squared"),
    ),
    shared=(Column("d", "C - C at t, $", "{close}-{close.now}", bars=40),),
    columns=(
        Column("sum", "sum of d, $", "IF({age}<{n},{sum.older}+{d},0)", bars=40),
        Column("squares", "sum of d*d", "IF({age}<{n},{squares.older}+{d}*{d},0)", bars=40),
    ),
    notes=("d is C - C at t; its sums run from the oldest of the n bars to the signal bar.",),
)
