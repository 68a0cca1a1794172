"""The home folder: where one engine keeps everything it owns, and the locks that keep it alone.

One engine process per home. A lock is the operating system's (it ends with its holder,
kill -9 included), never a pid file that somebody has to clean up.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

import platformdirs

from engine.errors import OperatorError

SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit is 104-108 and silent truncation is worse than moving


class FileLock:
    """An exclusive, non-blocking lock on a file, released when its process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """True when this object now holds the lock."""
        if self._file is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = self.path.open("a+b")
        try:
            if sys.platform == "win32":
                import msvcrt

                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        self._file = handle
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Home:
    """The folder of one engine and the names of what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()

    @classmethod
    def default_folder(cls) -> Path:
        return Path(platformdirs.user_data_dir("tsh-console"))

    def create(self) -> None:
        """Makes the folder, readable by its owner only; OperatorError when it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if sys.platform != "win32":
                self.folder.chmod(0o700)
            probe = self.folder / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OperatorError(
                f"cannot write the home folder {self.folder}: {error.strerror}; "
                "choose another with --home DIR or TSH_HOME"
            ) from error

    @property
    def stocks_data(self) -> Path:
        return self.folder / "stocks_data.db"

    @property
    def variation_results(self) -> Path:
        return self.folder / "variation_results.db"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def settings(self) -> Path:
        return self.folder / "tsh.toml"

    @property
    def search_checkpoint(self) -> Path:
        """Where a group search under way keeps what a kill must not cost."""
        return self.folder / "search.checkpoint"

    @property
    def latch(self) -> Path:
        """While this file exists no entry may be submitted, by anyone."""
        return self.folder / "LATCH"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def recordings(self) -> Path:
        """What the screens showed, one file a market day."""
        return self.folder / "recordings"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def engine_lock(self) -> Path:
        return self.folder / "engine.lock"

    @property
    def training_lock(self) -> Path:
        """Held by the one process that writes variation_results."""
        return self.folder / "training.lock"

    @property
    def engine_record(self) -> Path:
        """JSON: pid, address and token of the running engine; only true while the lock is held."""
        return self.folder / "engine.json"

    @property
    def id8(self) -> str:
        """Eight hex digits that name this home in client order ids; stored, so that moving the folder keeps it."""
        record = self.folder / "home.id"
        if record.exists():
            return record.read_text(encoding="ascii").strip()
        fresh = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        record.write_text(fresh + "\n", encoding="ascii")
        return fresh

    def socket_path(self) -> Path:
        """The control socket: in the home, or under the runtime folder when that path is too long."""
        here = self.folder / "engine.sock"
        if len(os.fsencode(here)) <= SOCKET_PATH_LIMIT:
            return here
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        return runtime / f"tshc-{digest}.sock"
