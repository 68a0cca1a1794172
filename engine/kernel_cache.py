"""Where compiled kernels are kept, and who may compile them.

numba writes its cache beside the source by default, which fails in a read-only
installation and mixes users. The cache is per user, and one process compiles while the
others wait (``compiling``): two processes that compile the same kernel at once would
double the first start. A note beside the kernels says that all have been compiled, so that
later starts need not load each of them to find out (``compiled_note``).
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs


def prepare_kernel_cache() -> Path:
    """Sets NUMBA_CACHE_DIR unless the user has; returns the folder (created, writable)."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    folder = Path(platformdirs.user_cache_dir("tsh-console")) / f"kernels-{sources_digest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        owner = os.getuid() if hasattr(os, "getuid") else os.getlogin()
        folder = Path(tempfile.gettempdir()) / f"tsh-console-{owner}" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


def sources_digest() -> str:
    """Names the kernels' sources together: numba watches a kernel's own file, not what it inlines from others."""
    digest = hashlib.sha256()
    for source in _sources():
        content = source.read_bytes()
        if b"numba" in content or b"@kernel" in content:
            digest.update(content)
    return digest.hexdigest()[:12]


def _sources() -> list[Path]:
    here = Path(__file__).parent
    return sorted([*(here / "compute").rglob("*.py"), *(here / "decision").glob("*.py")])


def compiled_note() -> Path:
    """The file that stands in the cache once every kernel has been compiled from these very sources.

    Its name holds what numba asks before it takes a kernel from the cache: its own version, the
    processor, and each source's place, time and size. A note that outlives its kernels does no harm:
    who needs one compiles it.
    """
    import llvmlite.binding as llvm  # here: consoles and commands start without the compiler
    import numba

    known = [sys.version, numba.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    for source in _sources():
        state = source.stat()
        known.append(f"{source} {state.st_mtime_ns} {state.st_size}")
    return prepare_kernel_cache() / f"compiled-{hashlib.sha256(repr(known).encode()).hexdigest()[:12]}"


@contextmanager
def compiling(wait_s: float = 600.0) -> Iterator[None]:
    """Holds the right to compile kernels, across processes; waits up to ``wait_s`` wall seconds.

    After the wait the caller goes on without it: compiling twice is slow, not wrong.
    """
    from engine.home import FileLock

    lock = FileLock(prepare_kernel_cache() / "compile.lock")
    deadline = time.monotonic() + wait_s
    while not lock.acquire() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()
