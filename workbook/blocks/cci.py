"""cci: distances from the bar's own typical price, so that a flat window gives exactly zero."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test

BLOCK = Block(
    algorithm="cci",
    title="the commodity channel index has just come back over -lev",
    rule="Buy when CCI(n) >= -lev at t, and CCI(n) < -lev at t-h. CCI = (TP - SMA(TP))/(0.015*mean deviation).",
    units={"n": "bars", "lev": "CCI", "h": "bars"},
    tests=(
        Test("CCI(n) at t >= -lev", "IF({spread}>0,-{mean}/{spread},0)", ">=", "-{lev}"),
        Test("CCI(n) at t-h < -lev", "IF({spread_h}>0,-{mean_h}/{spread_h},0)", "<", "-{lev}"),
    ),
    lines=(
        Line("mean", "SMA(TP) - TP at t", "{sum.now}/{n}", "$"),
        Line("spread", "0.015*mean deviation at t", "0.015*({deviation.now}/{n})", "$"),
        Line("end_h", "h+n: end of the bars of t-h", "{h}+{n}", "bars before t"),
        Line("typical_h", "TP at t-h", "INDEX({typical.all},{h}+1)", "$"),
        Line("mean_h", "SMA(TP) - TP at t-h", "INDEX({sum_h.all},{h}+1)/{n}", "$"),
        Line("spread_h", "0.015*mean deviation at t-h", "0.015*(INDEX({deviation_h.all},{h}+1)/{n})", "$"),
    ),
    shared=(Column("d", "TP - TP at t, $", "{typical}-{typical.now}", bars=40),),
    columns=(
        Column("sum", "sum of d, $", "IF({age}<{n},{sum.older}+{d},0)", bars=40),
        Column("deviation", "sum of |d - mean|", "IF({age}<{n},{deviation.older}+ABS({d}-{mean}),0)", bars=40),
        Column(
            "sum_h",
            "sum of d from t-h, $",
            "IF({age}<{h},0,IF({age}<{end_h},{sum_h.older}+({typical}-{typical_h}),0))",
            bars=44,
        ),
        Column(
            "deviation_h",
            "sum of |d - mean|",
            "IF({age}<{h},0,IF({age}<{end_h},{deviation_h.older}+ABS(({typical}-{typical_h})-{mean_h}),0))",
            bars=44,
        ),
    ),
    notes=("TP (typical price) is on Work; d is TP minus the TP of t or of t-h. Sums run from the oldest bar.",),
)
