"""A folder for one office instance: its profile, its copy of the workbook, its log.

The one thing to know: an instance never shares anything with another, because a killed
office leaves lock files that would make the next load of the same file or profile fail.
The folder is locked by its owner for as long as it lives; a folder whose lock is free has
lost its owner, and the next start sweeps it away together with an office that still uses it.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import psutil

from engine.home import FileLock

_numbers = itertools.count(1)


def instances_root() -> Path:
    """Where this user's instance folders are."""
    return Path(tempfile.gettempdir()) / f"tsh-workbook-{getpass.getuser()}"


class PrivateFolder:
    """One instance's folder, locked until ``remove`` or the end of this process."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or instances_root()
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in _numbers:
            self.path = self.root / f"{os.getpid()}-{number}"
            self._lock = FileLock(self.path / "owner.lock")
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                continue  # left by an earlier process with our pid: for a sweep to take
            # A sweep that came between making the folder and locking it has taken both away: the lock
            # is then on a file that no longer stands there.
            if self._lock.acquire() and (self.path / "owner.lock").exists():
                break
            self._lock.release()

    def remove(self) -> None:
        """Deletes it with everything inside; a missing one is fine."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(root: Path | None = None) -> int:
    """Removes the folders that lost their owner and ends their offices; how many there were."""
    swept = 0
    here = root or instances_root()
    for folder in sorted(here.iterdir()) if here.is_dir() else []:
        lock = FileLock(folder / "owner.lock")
        if not (folder / "owner.lock").exists() or not lock.acquire():
            continue
        try:  # under the lock: nobody can move in meanwhile
            _end_office(folder)
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
        finally:
            lock.release()
    return swept


def _end_office(folder: Path) -> None:
    """Kills the office recorded in ``folder``, if that pid still is an office on this very profile."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / "office.pid").read_text()))
        if any(str(folder / "profile") in word for word in process.cmdline()):
            process.kill()
            process.wait(5.0)
