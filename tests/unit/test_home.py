"""The home folder and the kernel cache: locks, names, permissions, and what happens where nothing is writable."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import OperatorError
from engine.home import FileLock, Home

HOLD = """
import sys, time
from pathlib import Path
from engine.home import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(60)
"""


def test_a_lock_is_exclusive_between_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "True"
    lock = FileLock(path)
    assert not lock.acquire()
    holder.kill()
    holder.wait()
    assert lock.acquire()
    lock.release()


def test_a_home_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home")
    home.create()
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_says_which_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OperatorError, match="--home DIR"):
        Home(tmp_path / "file" / "home").create()


def test_the_id_of_a_home_survives_moving_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "one")
    home.create()
    name = home.id8
    assert len(name) == 8
    home.folder.rename(tmp_path / "two")
    assert Home(tmp_path / "two").id8 == name


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_kernels_are_cached_per_user_unless_the_user_says_where(tmp_path: Path, given: str | None) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environ.pop("NUMBA_CACHE_DIR", None)
    if given is not None:
        environ["NUMBA_CACHE_DIR"] = str(tmp_path / given)
    code = "import os, engine; print(os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    if given is not None:
        assert folder == tmp_path / given
    else:
        assert folder.is_dir()
        assert str(tmp_path) in str(folder)
