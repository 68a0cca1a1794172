"""The ten blocks, one file an algorithm, in the layout's order.

Each states the rule of the file of the same name in ``engine/compute/algorithms`` as
formulas; an eleventh algorithm is one more file here and one more line in the layout.
"""

from __future__ import annotations

from importlib import import_module

from engine.compute.workbook import layout
from workbook.block_sheet import Block


def all_blocks() -> list[Block]:
    blocks: list[Block] = [import_module(f"{__name__}.{name}").BLOCK for name in layout.BLOCKS]
    return blocks
