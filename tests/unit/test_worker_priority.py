"""Workers give way while there are positions, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.worker_priority import WorkerPriority, give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has an idle class")
TWO_THREADS = "import threading, sys; threading.Thread(target=sys.stdin.read).start(); print('up', flush=True)"


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", TWO_THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def classes(pid: int) -> set[int]:
    return {os.sched_getscheduler(int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()}


def test_a_worker_keeps_its_share_until_there_are_positions(worker: subprocess.Popen[bytes]) -> None:
    holds = False
    priority = WorkerPriority(lambda: [("search", worker.pid)], lambda: holds)
    priority.look()
    assert classes(worker.pid) == {os.SCHED_OTHER}
    holds = True
    priority.look()
    assert classes(worker.pid) == {os.SCHED_IDLE}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_worker_that_has_ended_is_no_error() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not give_way(ended.pid)
    WorkerPriority(lambda: [("search", ended.pid)], lambda: True).look()
