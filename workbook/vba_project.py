"""Writes ``vbaProject.bin`` from macro sources, on any system, without an office (MS-OVBA).

The project carries sources only: the version mark FFFF in ``_VBA_PROJECT`` tells Excel that
no compiled form is there and makes it compile the text when the workbook opens. The same
sources always give the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from workbook.compound_file import compound_file

CODE_PAGE = "cp1252"
CHUNK = 4096  # decompressed bytes of a chunk
SHORTEST_COPY = 3
PROJECT_NAME = "VBAProject"  # the name that every office expects
PROJECT_ID = "{5B0C1E64-7C0E-4D57-9E0B-2F6A54483130}"
SOURCE_ONLY = b"\xcc\x61\xff\xff\x00\x00\x00"
OLE_AUTOMATION = (
    "stdole",
    "*\\G{00020430-0000-0000-C000-000000000046}#2.0#0#C:\\Windows\\System32\\stdole2.tlb#OLE Automation",
)
WORKBOOK_CLASS = "0{00020819-0000-0000-C000-000000000046}"
SHEET_CLASS = "0{00020820-0000-0000-C000-000000000046}"


class ModuleKind(Enum):
    """What a module is; documents name the class that they extend."""

    STANDARD = None
    WORKBOOK = WORKBOOK_CLASS
    SHEET = SHEET_CLASS


@dataclass(frozen=True)
class Module:
    """One module; ``source`` of a standard module opens with its ``Attribute VB_Name`` line."""

    name: str
    kind: ModuleKind
    source: str = ""

    @property
    def text(self) -> bytes:
        """The source as the project stores it: attributes first, CRLF, code page 1252."""
        lines = self.source.splitlines()
        if self.kind is not ModuleKind.STANDARD:
            lines = [*_document_attributes(self.name, self.kind), *lines]
        elif not lines or lines[0] != f'Attribute VB_Name = "{self.name}"':
            raise ValueError(f'{self.name}.bas must open with: Attribute VB_Name = "{self.name}"')
        return "".join(f"{line}\r\n" for line in lines).encode(CODE_PAGE)


def _document_attributes(name: str, kind: ModuleKind) -> list[str]:
    return [
        f'Attribute VB_Name = "{name}"',
        f'Attribute VB_Base = "{kind.value}"',
        "Attribute VB_GlobalNameSpace = False",
        "Attribute VB_Creatable = False",
        "Attribute VB_PredeclaredId = True",
        "Attribute VB_Exposed = True",
        "Attribute VB_TemplateDerived = False",
        "Attribute VB_Customizable = True",
    ]


# --- Compression (MS-OVBA 2.4.1) ------------------------------------------------------


def compress(data: bytes) -> bytes:
    """``data`` as a compressed container: chunks of literals and copies of earlier text."""
    chunks = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    return b"\x01" + b"".join(_compressed_chunk(chunk) for chunk in chunks)


def _compressed_chunk(chunk: bytes) -> bytes:
    body = _tokens(chunk)
    if len(body) < CHUNK:
        return struct.pack("<H", 0xB000 | (len(body) - 1)) + body
    if len(chunk) < CHUNK:  # a raw chunk is whole; text never comes here, it always shrinks
        raise ValueError("the last chunk does not compress: it cannot be stored")
    return struct.pack("<H", 0x3000 | (CHUNK - 1)) + chunk


def _tokens(chunk: bytes) -> bytes:
    """Groups of a flag byte and up to eight tokens: a literal byte, or a copy of two bytes."""
    out = bytearray()
    seen: dict[bytes, list[int]] = {}  # three bytes -> where they occurred
    at = 0
    while at < len(chunk):
        flags, group = 0, bytearray()
        for bit in range(8):
            if at == len(chunk):
                break
            offset_bits = max(4, (at - 1).bit_length())
            length, source = _longest_match(chunk, at, (0xFFFF >> offset_bits) + SHORTEST_COPY, seen)
            if length:
                flags |= 1 << bit
                group += struct.pack("<H", (at - source - 1) << (16 - offset_bits) | (length - SHORTEST_COPY))
            else:
                length = 1
                group.append(chunk[at])
            for place in range(at, at + length):
                seen.setdefault(chunk[place : place + SHORTEST_COPY], []).append(place)
            at += length
        out.append(flags)
        out += group
    return bytes(out)


def _longest_match(chunk: bytes, at: int, longest: int, seen: dict[bytes, list[int]]) -> tuple[int, int]:
    """Length and place of the longest earlier copy of what stands at ``at``; length 0 without any."""
    limit = min(longest, len(chunk) - at)
    best, source = 0, 0
    if limit < SHORTEST_COPY:
        return 0, 0
    for candidate in reversed(seen.get(chunk[at : at + SHORTEST_COPY], ())):
        length = SHORTEST_COPY
        while length < limit and chunk[candidate + length] == chunk[at + length]:
            length += 1
        if length > best:
            best, source = length, candidate
            if best == limit:
                break
    return best, source


# --- The dir stream (MS-OVBA 2.3.4.2) -------------------------------------------------


def _record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HI", kind, len(content)) + content


def _text_records(kind: int, twin: int, text: str) -> bytes:
    """A text in the code page and its UTF-16 twin."""
    return _record(kind, text.encode(CODE_PAGE)) + _record(twin, text.encode("utf-16-le"))


def _dir_stream(modules: Sequence[Module]) -> bytes:
    english = struct.pack("<I", 0x409)
    zero = struct.pack("<I", 0)
    out = _record(0x01, struct.pack("<I", 1))  # SYSKIND: 32-bit Windows
    out += _record(0x02, english) + _record(0x14, english)
    out += _record(0x03, struct.pack("<H", 1252))
    out += _record(0x04, PROJECT_NAME.encode(CODE_PAGE))
    out += _text_records(0x05, 0x40, "")  # description
    out += _record(0x06) + _record(0x3D)  # help file
    out += _record(0x07, zero) + _record(0x08, zero)  # help context, library flags
    out += struct.pack("<HIIH", 0x09, 4, 1, 1)  # version: the size field says 4, six bytes follow
    out += _text_records(0x0C, 0x3C, "")  # conditional compilation constants
    name, library = OLE_AUTOMATION
    out += _text_records(0x16, 0x3E, name)
    out += _record(0x0D, _record_text(library) + bytes(6))
    out += _record(0x0F, struct.pack("<H", len(modules))) + _record(0x13, b"\xff\xff")
    for module in modules:
        out += _text_records(0x19, 0x47, module.name)
        out += _text_records(0x1A, 0x32, module.name)  # stream name
        out += _text_records(0x1C, 0x48, "")  # description
        out += _record(0x31, zero)  # source starts at byte 0: nothing compiled before it
        out += _record(0x1E, zero) + _record(0x2C, b"\xff\xff")  # help context, cookie
        out += _record(0x21 if module.kind is ModuleKind.STANDARD else 0x22)
        out += _record(0x2B)
    return out + _record(0x10)


def _record_text(text: str) -> bytes:
    content = text.encode(CODE_PAGE)
    return struct.pack("<I", len(content)) + content


# --- The PROJECT stream (MS-OVBA 2.3.1) -----------------------------------------------


def _obscured(content: bytes, seed: int) -> str:
    """Data encryption of the protection fields (MS-OVBA 2.4.3.2); ``seed`` is fixed, not random."""
    key = sum(PROJECT_ID.encode(CODE_PAGE)) & 0xFF
    out = bytearray((seed, seed ^ 2, seed ^ key))
    plain, last, before_last = key, out[2], out[1]
    filler = bytes((seed & 6) // 2)
    for byte in filler + struct.pack("<I", len(content)) + content:
        coded = byte ^ (before_last + plain & 0xFF)
        out.append(coded)
        plain, last, before_last = byte, coded, last
    return out.hex().upper()


def _project_stream(modules: Sequence[Module]) -> bytes:
    lines = [f'ID="{PROJECT_ID}"']
    for module in modules:
        standard = module.kind is ModuleKind.STANDARD
        lines.append(f"Module={module.name}" if standard else f"Document={module.name}/&H00000000")
    lines += [
        f'Name="{PROJECT_NAME}"',
        'HelpContextID="0"',
        'VersionCompatible32="393222000"',
        f'CMG="{_obscured(bytes(4), 0x46)}"',  # not protected
        f'DPB="{_obscured(bytes(1), 0x9C)}"',  # no password
        f'GC="{_obscured(bytes([0xFF]), 0x22)}"',  # visible
        "",
        "[Host Extender Info]",
        "&H00000001={3832D640-CF90-11CF-8E43-00A0C911005A};VBE;&H00000000",
        "",
        "[Workspace]",
        *(f"{module.name}=0, 0, 0, 0, C" for module in modules),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode(CODE_PAGE)


def vba_project(modules: Sequence[Module]) -> bytes:
    """The bytes of ``vbaProject.bin``; the workbook's own module first, then the sheets, then the macros."""
    storage = {"dir": compress(_dir_stream(modules)), "_VBA_PROJECT": SOURCE_ONLY}
    names = b""
    for module in modules:
        storage[module.name] = compress(module.text)
        names += module.name.encode(CODE_PAGE) + b"\0" + module.name.encode("utf-16-le") + b"\0\0"
    return compound_file({"VBA": storage, "PROJECT": _project_stream(modules), "PROJECTwm": names + b"\0\0"})
