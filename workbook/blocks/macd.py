"""macd: both averages are seeded so that the line is first defined at bar s-1, the signal at bar s+g-2."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test

BLOCK = Block(
    algorithm="macd",
    title="the MACD line has just crossed above its signal line",
    rule="Buy when MACD(f, s) > signal(g) at t, and <= at t-1; with z = 1 also MACD < 0 at t; f < s.",
    units={"f": "bars", "s": "bars", "g": "bars", "z": "0 no, 1 yes"},
    tests=(
        Test("MACD at t > signal at t", "{macd}", ">", "{signal.now}"),
        Test(
            "MACD at t-1 <= signal at t-1",
            "INDEX({fast.all},2)-INDEX({slow.all},2)",
            "<=",
            "INDEX({signal.all},2)",
        ),
        Test("MACD at t < 0", "{macd}", "<", "0", unless="{z}=0"),
    ),
    lines=(
        Line("macd", "MACD at t, EMA(f) - EMA(s)", "{fast.now}-{slow.now}", "$"),
        Line("first", "first bar of MACD, s-1", "{s}-1", "bar"),
        Line("seed", "seed bar of the signal, s+g-2", "{s}+{g}-2", "bar"),
        Line("weight_f", "2/(f+1)", "2/({f}+1)"),
        Line("weight_s", "2/(s+1)", "2/({s}+1)"),
        Line("weight_g", "2/(g+1)", "2/({g}+1)"),
    ),
    columns=(
        Column(
            "fast",
            "EMA(f), $",
            "IF({bar}>{first},{fast.older}+{weight_f}*({close}-{fast.older}),"
            "IF({bar}={first},({fast.older}+{close})/{f},IF({bar}>={s}-{f},{fast.older}+{close},0)))",
        ),
        Column(
            "slow",
            "EMA(s), $",
            "IF({bar}>{first},{slow.older}+{weight_s}*({close}-{slow.older}),"
            "IF({bar}={first},({slow.older}+{close})/{s},{slow.older}+{close}))",
        ),
        Column(
            "signal",
            "signal, $",
            "IF({bar}>{seed},{signal.older}+{weight_g}*(({fast}-{slow})-{signal.older}),"
            "IF({bar}={seed},({signal.older}+({fast}-{slow}))/{g},"
            "IF({bar}>={first},{signal.older}+({fast}-{slow}),0)))",
        ),
    ),
    notes=("MACD is EMA(f) - EMA(s). Before their first and seed bars the columns hold running sums.",),
)
