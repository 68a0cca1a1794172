"""ema: each average is seeded with the mean of the window's first closes."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test


def _average(name: str, period: str, seed: str, weight: str) -> str:
    """Running sum of the closes, their mean at the seed bar period-1, then e + 2/(period+1)*(C - e)."""
    older = f"{{{name}.older}}"
    return (
        f"IF({{bar}}>{{{seed}}},{older}+{{{weight}}}*({{close}}-{older}),"
        f"IF({{bar}}={{{seed}}},({older}+{{close}})/{{{period}}},{older}+{{close}}))"
    )


BLOCK = Block(
    algorithm="ema",
    title="the fast average has just crossed above the slow one",
    rule="Buy when EMA(C, f) > EMA(C, s) at t, and EMA(C, f) <= EMA(C, s) at t-k; f < s.",
    units={"f": "bars", "s": "bars", "k": "bars"},
    tests=(
        Test("EMA(f) at t > EMA(s) at t", "{fast.now}", ">", "{slow.now}"),
        Test("EMA(f) at t-k <= EMA(s) at t-k", "INDEX({fast.all},{k}+1)", "<=", "INDEX({slow.all},{k}+1)"),
    ),
    lines=(
        Line("seed_f", "seed bar of EMA(f), f-1", "{f}-1", "bar"),
        Line("seed_s", "seed bar of EMA(s), s-1", "{s}-1", "bar"),
        Line("weight_f", "2/(f+1)", "2/({f}+1)"),
        Line("weight_s", "2/(s+1)", "2/({s}+1)"),
    ),
    columns=(
        Column("fast", "EMA(f), $", _average("fast", "f", "seed_f", "weight_f")),
        Column("slow", "EMA(s), $", _average("slow", "s", "seed_s", "weight_s")),
    ),
    notes=("Before its seed bar an average's column holds the running sum of the closes.",),
)
