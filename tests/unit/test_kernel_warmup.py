"""What an engine does about its kernels when it starts: compile what is missing, and nothing a second time."""

from __future__ import annotations

import os
from pathlib import Path

import numba
import pytest

from engine import kernel_cache
from engine.kernel_cache import compiled_note
from engine.kernel_warmup import KernelWarmup


async def test_kernels_that_are_compiled_are_ready_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled_note().touch()
    noted = set(tmp_path.iterdir())
    warmup = KernelWarmup()
    warmup.start()
    await warmup.ready()
    await warmup.stop()
    assert (warmup.text, warmup.not_ready()) == ("", "")
    assert set(tmp_path.iterdir()) == noted  # nothing was compiled or loaded: that takes the lock, a file


async def test_without_the_note_all_are_seen_to_and_it_is_written() -> None:
    compiled_note().unlink(missing_ok=True)
    warmup = KernelWarmup()
    warmup.start()
    await warmup.ready()
    await warmup.stop()
    assert (warmup.text, warmup.not_ready()) == ("", "")
    assert compiled_note().exists()


async def test_a_cache_that_cannot_be_written_is_told_and_leaves_no_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    warmup = KernelWarmup()
    warmup.start()
    await warmup.ready()
    await warmup.stop()
    assert "kernels" in warmup.not_ready()
    assert not compiled_note().exists()


def test_the_note_is_another_for_other_sources_and_for_another_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "compute" / "rule.py"
    source.parent.mkdir()
    source.write_text("a")
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "kernel_cache.py"))
    first = compiled_note()
    assert compiled_note() == first
    names = {first}
    os.utime(source, (1, 1))
    names.add(compiled_note())
    source.write_text("ab")
    os.utime(source, (1, 1))
    names.add(compiled_note())
    monkeypatch.setattr(numba, "__version__", "0.0")
    names.add(compiled_note())
    assert len(names) == 4
