"""What all tests share: kernels compiled once before parallel workers start, and the order of the files."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test is timed: a busy machine must not turn a property into a failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

PROJECT = Path(__file__).parents[1]
WARM_AT_ONCE_S = 4.0  # kernels that are only loaded are ready by then

# A file runs on one worker (--dist loadfile), and they are handed out in this order: first those that take
# longest, most of them because they wait; what keeps a core busy from end to end fills the gaps afterwards.
LONGEST_FIRST = (
    "week/test_killed_and_resumed.py",
    "contract/test_execution_doubts.py",
    "week/test_bad_input.py",
    "unit/test_group_discovery.py",
    "week/test_week_from_the_keyboard.py",
    "workbook/test_workbook_agreement.py",
    "week/test_keys_stay_out.py",
    "week/test_week_end_to_end.py",
    "unit/test_mp1_loop_worker.py",
    "week/test_weekdays.py",
    "week/test_forward_ledger.py",
    "faults/test_runs_of_a_day.py",
    "week/test_missed_sessions.py",
    "contract/test_execution_entries.py",
    "unit/test_search_bad_input.py",
    "week/test_live_trading.py",
    "workbook/test_workbook_faults.py",
    "console/test_console_screens.py",
    "faults/test_fault_matrix.py",
    "contract/test_execution_recovery.py",
    "week/test_alerts_survive.py",
    "contract/test_execution_promises.py",
    "faults/test_killed_processes.py",
    "contract/test_execution_flatten.py",
    "unit/test_permutation_null.py",
    "unit/test_cluster_search.py",
    "unit/test_search_memory.py",
    "unit/test_group_search.py",
    "unit/test_group_pyfim.py",
    "contract/test_data_weekly.py",
    "unit/test_search_truth.py",
)

# Tests are read with their assertions rewritten, which takes a worker as long as all its imports: kept.
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Compiles (or loads) every kernel in a process of its own: workers that compile the same ones at once
    would take longer than one, and a test's own timeout would meet the compiler."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if hasattr(os, "nice"):
        # Engines give their training and search workers a niceness of 10, the lowest is 19: from here on all
        # are equal, else the tests of a worker wait for the tests of everything else, beyond their timeouts.
        os.nice(19)
    # Workers and whatever they start inherit it: numpy readies threads for matrix products, which nothing
    # here computes, and that costs each of some 500 processes a third of its numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warming = subprocess.Popen(
        [sys.executable, "-m", "engine.compute.warm_kernels"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = warming.communicate(timeout=WARM_AT_ONCE_S)
    except subprocess.TimeoutExpired:
        _read_tests_once()
        _, errors = warming.communicate()
    if warming.returncode != 0:
        raise pytest.UsageError(f"the kernels cannot be compiled: {errors.strip()[-500:]}")


def _read_tests_once() -> None:
    """Rewrites the assertions of all tests beside the compiler, which leaves a core free; the workers find them
    done. What is wrong with a test is told by the run itself."""
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-p", "no:cacheprovider"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {PROJECT / "tests" / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """While the modules load next to nothing is garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """All modules are loaded: the search for garbage need not walk through them again and again, which
    costs the console's tests a third of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def pytest_sessionfinish() -> None:
    """pytest ends with five searches for garbage, so that nothing is left unsaid; this is the first, and it
    leaves the others nothing to walk through."""
    gc.collect()
    gc.freeze()
