"""adx: directional movements summed over bars 1..n-1, then s - s/n + x; DX from bar n, ADX from bar 2n-1."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test


def _movement(this: str, other: str) -> str:
    """``this`` when it is positive and above ``other``, else 0; compared bit by bit where both are positive."""
    return f"IF({{{this}}}>0,IF({{{other}}}>0,IF(GESTEP({{{other}}},{{{this}}})=0,{{{this}}},0),{{{this}}}),0)"


BLOCK = Block(
    algorithm="adx",
    title="a trend of enough strength that has just turned up",
    rule="Buy when ADX(n) > thr and +DM(n) > -DM(n) at t, and +DM(n) <= -DM(n) at t-k (the true range cancels).",
    units={"n": "bars", "thr": "ADX", "k": "bars"},
    tests=(
        Test("ADX(n) at t > thr", "{adx.now}", ">", "{thr}"),
        Test("+DM(n) at t > -DM(n) at t", "{plus.now}", ">", "{minus.now}"),
        Test("+DM(n) at t-k <= -DM(n) at t-k", "INDEX({plus.all},{k}+1)", "<=", "INDEX({minus.all},{k}+1)"),
    ),
    lines=(
        Line("share", "1/n", "1/{n}"),
        Line("keep", "(n-1)/n", "({n}-1)*{share}"),
        Line("seed", "seed bar of ADX, 2n-1", "2*{n}-1", "bar"),
    ),
    shared=(
        Column("up", "high up, $", "{high}-{high.older}", bars=63),
        Column("down", "low down, $", "{low.older}-{low}", bars=63),
        Column("plus_move", "+DM, $", _movement("up", "down"), bars=63),
        Column("minus_move", "-DM, $", _movement("down", "up"), bars=63),
    ),
    columns=(
        Column(
            "plus",
            "+DM(n)",
            "IF({bar}>={n},{plus.older}-{plus.older}*{share}+{plus_move},{plus.older}+{plus_move})",
        ),
        Column(
            "minus",
            "-DM(n)",
            "IF({bar}>={n},{minus.older}-{minus.older}*{share}+{minus_move},{minus.older}+{minus_move})",
        ),
        Column(
            "dx",
            "DX",
            "IF({bar}>={n},IF({plus}+{minus}>0,100*(ABS({plus}-{minus})/({plus}+{minus})),0),0)",
        ),
        Column(
            "adx",
            "ADX(n)",
            "IF({bar}>{seed},{adx.older}*{keep}+{dx}*{share},"
            "IF({bar}={seed},({adx.older}+{dx})*{share},{adx.older}+{dx}))",
        ),
    ),
    notes=("Before bar 2n-1 the ADX column holds the running sum of DX.",),
)
