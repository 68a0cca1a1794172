"""What may happen to an office, and that nothing of it reaches the results."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
from office_traces import folders_of, offices_of

from engine.compute import NativeEngine, ParameterSet
from engine.compute.check_material import edge_sets, seeded_windows
from engine.compute.workbook import layout
from engine.compute.workbook.block_plan import plan_passes
from engine.compute.workbook.driver import BatchStoppedError, DriverPlan, WorkbookDriver, WorkbookFault
from engine.compute.workbook.engine import WorkbookEngine
from engine.compute.workbook.libreoffice_link import Installation, OfficeError, OfficeGoneError, OfficeLink
from engine.compute.workbook.offices import WORKBOOK_FILE, Office
from engine.compute.workbook.private_folder import PrivateFolder, sweep
from engine.errors import OperatorError
from engine.home import Home
from engine.model import Evaluation
from engine.settings import Settings, TrainingSettings, WorkbookSettings
from engine.storage.variation_results_db import VariationResultsDb
from engine.training.launch import TrainingProcess, TrainingRequest
from engine.views import TrainingView

SETS = edge_sets(seed=1)
WINDOWS = seeded_windows(seed=11, tickers=60)


@cache
def expected() -> Evaluation:
    return NativeEngine().evaluate(WINDOWS, SETS)


def when_under_way(engine: WorkbookEngine, act: Callable[[WorkbookDriver], None]) -> threading.Thread:
    """Does ``act`` to the first instance once it has worked through some tickers of the present batch."""
    before = engine.status().tickers

    def wait() -> None:
        while engine.status().tickers < before + 10:
            time.sleep(0.01)
        act(engine.drivers[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def assert_nothing_is_left(owner: int, *pids: int) -> None:
    """No office, no server, no folder with a lock file; given a moment to end."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (folders_of(owner) or any(psutil.pid_exists(pid) for pid in pids)):
        time.sleep(0.1)
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert folders_of(owner) == []


def stop_hard(driver: WorkbookDriver) -> None:
    os.kill(driver.pid, signal.SIGKILL)


def freeze(driver: WorkbookDriver) -> None:
    os.kill(driver.pid, signal.SIGSTOP)


def stop_server(driver: WorkbookDriver) -> None:
    psutil.Process(driver.pid).parent().kill()  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_office_killed_frozen_or_orphaned_in_a_batch_costs_time_and_no_row(
    office: Installation,
) -> None:
    settings = WorkbookSettings(instances=2, chunk=3, deadline_s=4.0)
    known = {child.pid for child in offices_of()}
    folders = folders_of(os.getpid())
    with WorkbookEngine(settings=settings) as engine:
        engine.evaluate(WINDOWS[:4], SETS)
        for harm, restarts in ((stop_hard, 1), (freeze, 2), (stop_server, 3)):
            thread = when_under_way(engine, harm)
            answer = engine.evaluate(WINDOWS, SETS)
            thread.join()
            assert np.array_equal(answer.buys, expected().buys)
            assert np.array_equal(answer.pp, expected().pp)
            status = engine.status()
            assert status.restarts == restarts
        assert status.tickers == 4 + 3 * len(WINDOWS), "every ticker once, whatever happened"
        assert len(offices_of()) == len(known) + 2, "a replaced office is gone"
    assert {child.pid for child in offices_of()} == known
    assert folders_of(os.getpid()) == folders


def test_an_office_that_never_gets_a_step_done_ends_the_batch_with_a_remedy(office: Installation) -> None:
    settings = WorkbookSettings(instances=1, chunk=60, deadline_s=0.3)
    with WorkbookEngine(settings=settings) as engine, pytest.raises(OperatorError, match=r"workbook\.deadline_s"):
        engine.evaluate(WINDOWS, SETS)


def driver_of(office: Installation, **changed: object) -> WorkbookDriver:
    return WorkbookDriver(DriverPlan(Office("LibreOffice", office), **changed))  # type: ignore[arg-type]


def test_a_batch_can_be_stopped_after_a_chunk_and_the_instance_goes_on(office: Installation) -> None:
    driver = driver_of(office, chunk=5)
    done: list[int] = []
    try:
        driver.open()
        driver.write_blocks(_blocks())

        def watch(tickers: int) -> None:
            done.append(tickers)
            if len(done) == 2:
                driver.stop.set()

        with pytest.raises(BatchStoppedError, match="after 10 of 60"):
            driver.run_batch(WINDOWS, "training", watch)
        driver.stop.clear()
        assert done == [5, 5]
        assert driver.run_batch(WINDOWS[:3], "training").flags.shape == (3, 80)
    finally:
        driver.close()


def _blocks() -> dict[str, tuple[tuple[float, ...], ...]]:
    return dict(plan_passes([])[0].blocks)


def test_an_unusable_bar_in_the_sheet_is_refused_by_the_workbook_with_its_ticker(office: Installation) -> None:
    driver = driver_of(office)
    wrong = WINDOWS[:8].copy()
    wrong[6, 30, 3] = 0.0
    try:
        driver.open()
        driver.write_blocks(_blocks())
        with pytest.raises(WorkbookFault, match=r"ticker 7: .*not positive"):
            driver.run_batch(wrong, "training")
        assert driver.restarts == 0
    finally:
        driver.close()


def changed_copy(tmp_path: Path, name: str, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The workbook with something wrong: ``change(part, content)`` gives a part's new content, None drops it."""
    target = tmp_path / name
    with zipfile.ZipFile(WORKBOOK_FILE) as source, zipfile.ZipFile(target, "w") as copy:
        for part in source.namelist():
            content = change(part, source.read(part))
            if content is not None:
                copy.writestr(part, content)
    return target


def test_a_workbook_that_is_not_ours_is_refused_with_a_remedy(office: Installation, tmp_path: Path) -> None:
    version = re.compile(rb'(<c r="%s"[^>]*><v>)1(</v>)' % layout.PROTOCOL.area.address.encode())

    def other_version(part: str, content: bytes) -> bytes:
        return version.sub(rb"\g<1>99\2", content) if part.startswith("xl/worksheets/sheet2") else content

    def no_results(part: str, content: bytes) -> bytes:
        return content.replace(b'name="Results"', b'name="Outcome"') if part == "xl/workbook.xml" else content

    def no_macros(part: str, content: bytes) -> bytes | None:
        if part.endswith("vbaProject.bin"):
            return None
        return re.sub(rb"<(Relationship|Default|Override) [^>]*vbaProject[^>]*/>", b"", content)

    cases: dict[str, tuple[Callable[[str, bytes], bytes | None], str]] = {
        "version.xlsm": (other_version, "version 99 of the layout"),
        "sheet.xlsm": (no_results, "no sheet Results"),
        "macros.xlsm": (no_macros, "macro PingEngine"),
    }
    for name, (change, said) in cases.items():
        driver = driver_of(office, workbook=changed_copy(tmp_path, name, change))
        try:
            with pytest.raises(WorkbookFault, match=said) as refused:
                driver.open()
            assert "tshc workbook build" in str(refused.value)
        finally:
            driver.close()
    absent = driver_of(office, workbook=tmp_path / "nowhere.xlsm")
    with pytest.raises(OperatorError, match="is missing: 'tshc workbook build'"):
        absent.open()
    absent.close()


def test_a_setting_that_names_no_office_and_an_office_that_does_not_start_say_so(
    office: Installation, tmp_path: Path
) -> None:
    with pytest.raises(OperatorError, match=r"no soffice\.bin"):
        WorkbookEngine(settings=WorkbookSettings(office=str(tmp_path)))
    broken = tmp_path / "soffice.bin"
    broken.write_text("#!/bin/sh\necho this office is broken\nexit 3\n")
    broken.chmod(0o755)
    with (
        WorkbookEngine(settings=WorkbookSettings(office=str(tmp_path))) as engine,
        pytest.raises(OperatorError, match=r"does not start.*code 3.*this office is broken"),
    ):
        engine.warm_up(lambda *_: None)


def test_a_request_to_a_dead_office_fails_at_once_and_a_refused_one_leaves_it_alive(office: Installation) -> None:
    link = OfficeLink.start(office, PrivateFolder())
    pids = (link.office_pid, link.server_pid)
    document = link.call("open")["document"]
    with pytest.raises(OfficeError, match="no macro Nothing"):
        link.call("run", document=document, macro="Nothing")
    assert link.alive
    os.kill(link.office_pid, signal.SIGKILL)
    with pytest.raises(OfficeGoneError):
        link.call("sheets", document=document)
    link.close()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert not link.folder.path.exists()


def test_a_sweep_takes_folders_without_an_owner_and_no_other(tmp_path: Path) -> None:
    held = PrivateFolder(tmp_path)
    lost = tmp_path / "1-1"
    lost.mkdir()
    (lost / "owner.lock").touch()
    (lost / ".~lock.tsh_engine.xlsm#").touch()
    (lost / "office.pid").write_text(str(os.getpid()))  # a pid that now belongs to somebody else is left alone
    assert sweep(tmp_path) == 1
    assert not lost.exists()
    assert held.path.exists()
    held.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_a_training_worker_killed_in_a_batch_leaves_no_office_no_file_and_no_half_cycle(
    office: Installation, tmp_path: Path
) -> None:
    from synthetic_week import store_week

    home = Home(tmp_path / "home")
    home.create()
    await store_week(home.stocks_data, seed=11)
    training = TrainingSettings(cycles=2, slots=8, seed=4, backend="workbook")
    settings = Settings(training=training, workbook=WorkbookSettings(instances=2, chunk=5))
    process = TrainingProcess()
    await process.start(TrainingRequest.of(home, settings))
    assert process.pid is not None
    worker, offices = process.pid, list[int]()
    seen: list[TrainingView] = []

    async def watch() -> None:
        async for view in process.views():
            if view.tickers_per_s and not offices:
                seen.append(view)
                offices.extend(child.pid for child in offices_of(worker))
                assert len(folders_of(worker)) == 2
                os.kill(worker, signal.SIGKILL)

    with pytest.raises(OperatorError, match="signal 9"):
        await watch()
    assert seen[0].office.startswith("LibreOffice")
    assert seen[0].instances == 2
    await process.close()
    assert len(offices) == 2
    await asyncio.to_thread(assert_nothing_is_left, worker, *offices)
    results = await VariationResultsDb.open(home.variation_results, spaces=[])
    try:
        assert await results.last_cycle() == 0
    finally:
        await results.close()


def test_parameters_of_a_set_outside_its_space_never_reach_a_cell(office: Installation) -> None:
    with WorkbookEngine(settings=WorkbookSettings(instances=1)) as engine:
        with pytest.raises(OperatorError, match="outside its space"):
            engine.write_blocks([ParameterSet("adx", (1, 1, 1))])
        assert engine.drivers == (), "no office was started for it"
