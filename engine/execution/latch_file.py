"""The LATCH file: while it exists no entry leaves, whoever tries.

It is a file because ``tshc flatten`` must be able to stop an engine that no longer
answers. While somebody *acts* behind it (its time stamp is young and it says so) the
engine's own exits yield too, so that two sellers do not fight over the same shares; they
go on when the actor falls silent, because exits are never blocked.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ACTING_S = 10.0  # an actor that has not touched the file for so long is gone (wall seconds)


@dataclass(frozen=True, slots=True)
class Latch:
    reason: str
    acting: bool  # somebody sells right now
    foreign: bool = False  # written by another process than this one


def write_latch(path: Path, reason: str, *, acting: bool = False) -> None:
    """Writes and syncs the file, whole or not at all; OSError when the home cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"reason": reason, "acting": acting, "pid": os.getpid()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)  # who reads at this moment sees the old one or the new one
    except OSError:
        with suppress(OSError):
            path.touch()  # a full disk often still takes an empty file, and an empty one latches too
        raise
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def read_latch(path: Path) -> Latch | None:
    """The latch, or None; a file that cannot be read still latches."""
    try:
        age = time.time() - path.stat().st_mtime
        content = json.loads(path.read_text(encoding="utf-8") or "{}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Latch(f"the file {path.name} exists", acting=False, foreign=True)
    if not isinstance(content, dict):
        content = {}
    foreign = content.get("pid") != os.getpid()
    acting = bool(content.get("acting")) and foreign and age < ACTING_S
    return Latch(str(content.get("reason") or f"the file {path.name} exists")[:300], acting, foreign)


def lift_latch(path: Path) -> None:
    path.unlink(missing_ok=True)
