"""Writes an OLE compound file (MS-CFB version 3): the container of a VBA project.

Storages are dicts, streams are bytes. Streams below 4,096 bytes live in the mini stream.
The same tree always gives the same bytes: no times, no class ids.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

Storage = Mapping[str, Union[bytes, "Storage"]]

SECTOR = 512
MINI_SECTOR = 64
MINI_LIMIT = 4096  # streams of this size and above take whole sectors
ENTRY = 128  # bytes of a directory entry
FREE, END_OF_CHAIN, FAT_SECTOR, NO_STREAM = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
HEADER_FAT_SLOTS = 109  # FAT sectors that the header itself can list: 6.8 MB, far beyond any macro
STORAGE, STREAM, ROOT = 1, 2, 5
RED, BLACK = 0, 1


@dataclass
class _Entry:
    """One directory entry; links are positions in the directory."""

    name: str
    kind: int
    color: int = BLACK
    left: int = NO_STREAM
    right: int = NO_STREAM
    child: int = NO_STREAM
    start: int = END_OF_CHAIN
    size: int = 0

    def packed(self) -> bytes:
        name = self.name.encode("utf-16-le") + b"\0\0"
        if len(name) > 64:
            raise ValueError(f"'{self.name}' is too long for a compound file: at most 31 characters")
        head = struct.pack("<64sHBBIII", name, len(name), self.kind, self.color, self.left, self.right, self.child)
        # class id, state bits, two times: all zero
        return head + bytes(16 + 4 + 8 + 8) + struct.pack("<IQ", self.start, self.size)


class _Chains:
    """Numbered units of one size (sectors or mini sectors) and the table that links them."""

    def __init__(self, unit: int) -> None:
        self.unit, self.body, self.links = unit, bytearray(), list[int]()

    def add(self, content: bytes) -> int:
        """Appends ``content`` as one chain; returns its first unit, END_OF_CHAIN for nothing."""
        if not content:
            return END_OF_CHAIN
        first = len(self.links)
        units = -(-len(content) // self.unit)
        self.body += content.ljust(units * self.unit, b"\0")
        self.links += [*range(first + 1, first + units), END_OF_CHAIN]
        return first

    def table(self) -> bytes:
        """The links, padded with FREE to whole sectors."""
        per_sector = SECTOR // 4
        padded = self.links + [FREE] * (-len(self.links) % per_sector)
        return struct.pack(f"<{len(padded)}I", *padded)


def _sibling_order(name: str) -> tuple[int, str]:
    """Siblings sort by length first, then by upper-case letters."""
    return len(name.encode("utf-16-le")), name.upper()


def _plant(entries: list[_Entry], numbers: list[int], red_depth: int, depth: int = 0) -> int:
    """Links sorted siblings into a balanced tree and returns its root.

    All levels are full except the last; colouring that one red makes a red-black tree.
    """
    if not numbers:
        return NO_STREAM
    middle = len(numbers) // 2
    entry = entries[numbers[middle]]
    entry.color = RED if depth == red_depth else BLACK
    entry.left = _plant(entries, numbers[:middle], red_depth, depth + 1)
    entry.right = _plant(entries, numbers[middle + 1 :], red_depth, depth + 1)
    return numbers[middle]


def _directory(tree: Storage) -> tuple[list[_Entry], dict[int, bytes]]:
    """Every entry with its tree links, and the content of the streams by entry number."""
    entries = [_Entry("Root Entry", ROOT)]
    contents: dict[int, bytes] = {}

    def add_children(parent: int, storage: Storage) -> None:
        numbers = []
        for name in sorted(storage, key=_sibling_order):
            child = storage[name]
            number = len(entries)
            numbers.append(number)
            if isinstance(child, bytes):
                entries.append(_Entry(name, STREAM, size=len(child)))
                contents[number] = child
            else:
                entries.append(_Entry(name, STORAGE))
                add_children(number, child)
        full_levels = (len(numbers) + 1).bit_length() - 1
        entries[parent].child = _plant(entries, numbers, full_levels)

    add_children(0, tree)
    return entries, contents


def compound_file(tree: Storage) -> bytes:
    """The bytes of a compound file that holds ``tree``; ValueError when it grows beyond 6.8 MB."""
    entries, contents = _directory(tree)
    sectors, mini = _Chains(SECTOR), _Chains(MINI_SECTOR)
    for number, content in contents.items():
        entries[number].start = (sectors if len(content) >= MINI_LIMIT else mini).add(content)
    entries[0].start, entries[0].size = sectors.add(bytes(mini.body)), len(mini.body)
    mini_table = mini.table()
    mini_table_start = sectors.add(mini_table)
    directory = b"".join(entry.packed() for entry in entries)
    unused = struct.pack("<64sHBBIII", b"", 0, 0, 0, NO_STREAM, NO_STREAM, NO_STREAM).ljust(ENTRY, b"\0")
    directory_start = sectors.add(directory + unused * (-len(entries) % (SECTOR // ENTRY)))

    used = len(sectors.links)
    per_sector = SECTOR // 4
    fat_sectors = 1
    while used + fat_sectors > fat_sectors * per_sector:
        fat_sectors += 1
    if fat_sectors > HEADER_FAT_SLOTS:
        raise ValueError("the project is too large for a compound file without a double-indirect table")
    sectors.links += [FAT_SECTOR] * fat_sectors
    fat_places = [*range(used, used + fat_sectors)] + [FREE] * (HEADER_FAT_SLOTS - fat_sectors)

    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)  # version 3, little-endian, 2**9 and 2**6 byte units
    header += struct.pack(
        "<9I", 0, fat_sectors, directory_start, 0, MINI_LIMIT,
        mini_table_start, len(mini_table) // SECTOR, END_OF_CHAIN, 0,
    )  # fmt: skip
    header += struct.pack(f"<{HEADER_FAT_SLOTS}I", *fat_places)
    return header + bytes(sectors.body) + sectors.table()
