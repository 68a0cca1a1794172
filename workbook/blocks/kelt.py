"""kelt: Wilder's ATR (first m true ranges averaged at bar m) around an EMA of the close."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test

BLOCK = Block(
    algorithm="kelt",
    title="the close has just broken above the Keltner channel",
    rule="Buy when C > EMA(C, n) + k*ATR(m) at t, and C <= EMA(C, n) + k*ATR(m) at t-1.",
    units={"n": "bars", "m": "bars", "k": "ATRs"},
    tests=(
        Test("C at t > channel at t", "{close.now}", ">", "{average.now}+{k}*{atr.now}"),
        Test(
            "C at t-1 <= channel at t-1",
            "INDEX({close.all},2)",
            "<=",
            "INDEX({average.all},2)+{k}*INDEX({atr.all},2)",
        ),
    ),
    lines=(
        Line("weight", "2/(n+1)", "2/({n}+1)"),
        Line("share", "1/m", "1/{m}"),
        Line("seed", "seed bar of the EMA, n-1", "{n}-1", "bar"),
        Line("previous", "m-1", "{m}-1"),
    ),
    shared=(
        Column(
            "range",
            "true range, $",
            "MAX({high}-{low},ABS({high}-{close.older}),ABS({low}-{close.older}))",
            bars=63,
        ),
    ),
    columns=(
        Column(
            "average",
            "EMA(n), $",
            "IF({bar}>{seed},{average.older}+{weight}*({close}-{average.older}),"
            "IF({bar}={seed},({average.older}+{close})/{n},{average.older}+{close}))",
        ),
        Column(
            "atr",
            "ATR(m), $",
            "IF({bar}>{m},({atr.older}*{previous}+{range})*{share},"
            "IF({bar}={m},({atr.older}+{range})*{share},{atr.older}+{range}))",
            bars=63,
        ),
    ),
    notes=("Before their seed bars (n-1 of the EMA, m of the ATR) the columns hold running sums.",),
)
