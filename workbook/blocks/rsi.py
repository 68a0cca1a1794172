"""rsi: gains and losses averaged over the first n changes, then (average*(n-1) + x)/n."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test


def _smoothed(name: str, move: str) -> str:
    older = f"{{{name}.older}}"
    return (
        f"IF({{bar}}>{{n}},({older}*{{previous}}+{{{move}}})*{{share}},"
        f"IF({{bar}}={{n}},({older}+{{{move}}})*{{share}},{older}+{{{move}}}))"
    )


BLOCK = Block(
    algorithm="rsi",
    title="strength has just come back over a low level",
    rule="Buy when RSI(n) >= lo at t, and RSI(n) < lo at t-h. RSI = 100*gain/(gain + loss), 0 without any move.",
    units={"n": "bars", "lo": "RSI", "h": "bars"},
    tests=(
        Test("RSI(n) at t >= lo", "IF({total}>0,100*({gain.now}/{total}),0)", ">=", "{lo}"),
        Test("RSI(n) at t-h < lo", "IF({total_h}>0,100*({gain_h}/{total_h}),0)", "<", "{lo}"),
    ),
    lines=(
        Line("share", "1/n", "1/{n}"),
        Line("previous", "n-1", "{n}-1"),
        Line("total", "gain + loss at t", "{gain.now}+{loss.now}", "$"),
        Line("gain_h", "gain at t-h", "INDEX({gain.all},{h}+1)", "$"),
        Line("total_h", "gain + loss at t-h", "INDEX({gain.all},{h}+1)+INDEX({loss.all},{h}+1)", "$"),
    ),
    shared=(
        Column("up", "gain, $", "MAX({close}-{close.older},0)", bars=63),
        Column("down", "loss, $", "MAX(-({close}-{close.older}),0)", bars=63),
    ),
    columns=(
        Column("gain", "average gain, $", _smoothed("gain", "up"), bars=63),
        Column("loss", "average loss, $", _smoothed("loss", "down"), bars=63),
    ),
    notes=("Before bar n the averages' columns hold running sums.",),
)
