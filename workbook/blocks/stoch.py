"""stoch: averages summed anew at every bar, oldest first, so that ties stay ties."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Test


def _mean_of_last_d(name: str) -> str:
    """Mean of the last d values (2 to 6), added oldest first."""
    older = "".join(f"({{d}}>{back})*{{{name}.older{back}}}+" for back in range(5, 1, -1))
    return f"({older}{{{name}.older}}+{{{name}}})/{{d}}"


def _extreme(function: str, field: str) -> str:
    """Of the n bars that end at the row's own."""
    return f"{function}(INDEX({{{field}.all}},{{age}}+1):INDEX({{{field}.all}},{{age}}+{{n}}))"


BLOCK = Block(
    algorithm="stoch",
    title="the slow stochastic has just crossed above its average, low in its range",
    rule="Buy when slowK(n, d) > slowD(d) at t, <= at t-1, and slowD < lo at t; slowK = SMA(d) of fastK(n).",
    units={"n": "bars", "d": "bars", "lo": "percent"},
    tests=(
        Test("slowK at t > slowD at t", "{slow_k.now}", ">", "{slow_d.now}"),
        Test("slowK at t-1 <= slowD at t-1", "INDEX({slow_k.all},2)", "<=", "INDEX({slow_d.all},2)"),
        Test("slowD at t < lo", "{slow_d.now}", "<", "{lo}"),
    ),
    columns=(
        Column("lowest", "lowest low, $", _extreme("MIN", "low"), bars=12),
        Column("highest", "highest high, $", _extreme("MAX", "high"), bars=12),
        Column(
            "fast_k",
            "fastK, %",
            "IF({highest}-{lowest}>0,100*(({close}-{lowest})/({highest}-{lowest})),0)",
            bars=12,
        ),
        Column("slow_k", "slowK, %", _mean_of_last_d("fast_k"), bars=7),
        Column("slow_d", "slowD, %", _mean_of_last_d("slow_k"), bars=2),
    ),
    notes=("fastK = 100*(C - lowest low)/(highest high - lowest low) of n bars, 0 on an empty range.",),
)
