"""mfi: a typical-price move within 1e-14 of both prices' sum is none, so that money does not flow by rounding."""

from __future__ import annotations

from workbook.block_sheet import Block, Column, Line, Test

BLOCK = Block(
    algorithm="mfi",
    title="money has flowed out, and the close is above that of h bars ago",
    rule="Buy when MFI(n) < lo and C > C at t-h. MFI = 100*inflow/(inflow + outflow), 0 when the sum is below 1.",
    units={"n": "bars", "lo": "MFI", "h": "bars"},
    tests=(
        Test("MFI(n) at t < lo", "IF({total}>=1,100*({positive.now}/{total}),0)", "<", "{lo}"),
        Test("C at t > C at t-h", "{close.now}", ">", "INDEX({close.all},{h}+1)"),
    ),
    lines=(Line("total", "inflow + outflow", "{positive.now}+{negative.now}", "$"),),
    shared=(
        Column("flow", "TP*volume, $", "{typical}*{volume}", bars=24),
        Column("move", "change of TP, $", "{typical}-{typical.older}", bars=24),
        Column("same", "counts as none, $", "1E-14*({typical}+{typical.older})", bars=24),
        Column("inflow", "inflow, $", "IF({move}>{same},{flow},0)", bars=24),
        Column("outflow", "outflow, $", "IF({move}<-{same},{flow},0)", bars=24),
    ),
    columns=(
        Column("positive", "inflow of n, $", "IF({age}<{n},{positive.older}+{inflow},0)", bars=24),
        Column("negative", "outflow of n, $", "IF({age}<{n},{negative.older}+{outflow},0)", bars=24),
    ),
    notes=("TP (typical price) is on Work. A move of TP within the column 'counts as none' moves no money.",),
)
