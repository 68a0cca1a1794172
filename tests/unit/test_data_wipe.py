"""wipe_weekly_results: archived and verified before it is gone, and finished after a kill at any step."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from storage_samples import SPACES, child, cycle, group, outcome, pruned

from engine.data.wipe_weekly_results import WipeReport, wipe_weekly_results
from engine.errors import RefusedError, StorageError
from engine.home import FileLock, Home
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb

TODAY = date(2026, 11, 27)


async def filled(home: Home) -> tuple[dict[str, str], dict[str, str]]:
    """A week's results and groups; the hashes of both databases."""
    home.create()
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    for number in (1, 2, 3):
        await results.append_cycle(number, cycle(number))
    stocks = await StocksDataDb.open(home.stocks_data)
    await stocks.replace_companies({"AAPL": "Apple Inc."})
    for space in SPACES:
        await stocks.replace_pruned(space, pruned(space, 10))
    await stocks.replace_final_groups(outcome(), [group(1, 1), group(2, 2)])
    hashes = await results.table_hashes(), await stocks.table_hashes()
    await results.close()
    await stocks.close()
    return hashes


async def wipe(home: Home, progress: Mapping[str, Any] | None = None) -> tuple[WipeReport, list[dict[str, Any]]]:
    notes: list[dict[str, Any]] = []

    async def record(state: Mapping[str, Any]) -> None:
        notes.append(json.loads(json.dumps(state)))

    stocks = await StocksDataDb.open(home.stocks_data)
    try:
        return await wipe_weekly_results(home, stocks, TODAY, progress or {}, record), notes
    finally:
        await stocks.close()


async def empty(home: Home) -> bool:
    results = await VariationResultsDb.open(home.variation_results, spaces=SPACES)
    stocks = await StocksDataDb.open(home.stocks_data)
    counts = [*(await results.row_counts()).values(), *(await stocks.group_row_counts()).values()]
    assert await stocks.companies() == {"AAPL": "Apple Inc."}, "only the week's results go"
    await results.close()
    await stocks.close()
    return sum(counts) == 0


async def archived(home: Home) -> tuple[dict[str, str], dict[str, str]]:
    results = await VariationResultsDb.open(home.archive / "2026-11-20-variation_results.db", read_only=True)
    stocks = await StocksDataDb.open(home.archive / "2026-11-20-stocks_data.db", read_only=True)
    hashes = await results.table_hashes(), await stocks.table_hashes()
    await results.close()
    await stocks.close()
    return hashes


async def test_a_week_goes_whole_into_files_named_by_its_day5(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    before = await filled(home)
    report, notes = await wipe(home)
    assert report.files == ("2026-11-20-variation_results.db", "2026-11-20-stocks_data.db")
    assert report.rows == 2 * 24 + 2 * 10 + 2 + 1
    assert await archived(home) == before
    assert await empty(home)
    assert [sorted(note) for note in notes][-1] == ["files", "groups_wiped", "names", "results_wiped", "rows"]
    assert FileLock(home.training_lock).acquire()


async def test_an_empty_week_leaves_no_archive(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    report, _ = await wipe(home)
    assert report == WipeReport((), 0)
    assert not home.archive.exists()


async def test_a_second_wipe_of_the_same_week_never_overwrites_the_first_archive(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    before = await filled(home)
    await wipe(home)
    await filled(home)
    report, _ = await wipe(home)
    assert report.files == ("2026-11-20-variation_results-2.db", "2026-11-20-stocks_data-2.db")
    assert await archived(home) == before


async def test_nothing_is_wiped_while_a_training_worker_owns_the_results(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    await filled(home)
    lock = FileLock(home.training_lock)
    assert lock.acquire()
    with pytest.raises(RefusedError, match="training worker of this home is running"):
        await wipe(home)
    lock.release()
    assert not await empty(home)
    assert not home.archive.exists()


async def test_an_archive_that_was_tampered_with_stops_the_wipe(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    await filled(home)
    _, notes = await wipe(home)
    await filled(home)
    copy = home.archive / "2026-11-20-variation_results.db"
    copy.write_bytes(copy.read_bytes()[:6000])
    with pytest.raises(StorageError, match="nothing was wiped"):
        await wipe(home, notes[1])  # as after a kill between the archive and the wipe
    assert not await empty(home)


_CHILD = """
import asyncio, json, os, signal, sys
from pathlib import Path
from engine.home import Home
from engine.data.wipe_weekly_results import wipe_weekly_results
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.group_tables import GroupTables
from engine.storage.variation_results_db import VariationResultsDb
from test_data_wipe import TODAY

home, note, at = Home(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
moments = 0

def moment():
    global moments
    moments += 1
    if moments == at:
        os.kill(os.getpid(), signal.SIGKILL)

async def record(state):
    moment()
    note.write_text(json.dumps(state))
    moment()

def dying(method):
    async def run(*args, **kw):
        moment()
        result = await method(*args, **kw)
        moment()
        return result
    return run

for owner, name in ((VariationResultsDb, "backup_to"), (StocksDataDb, "backup_to"), (VariationResultsDb, "wipe"),
                    (StocksDataDb, "wipe_groups")):
    setattr(owner, name, dying(getattr(owner, name)))

async def main():
    stocks = await StocksDataDb.open(home.stocks_data)
    state = json.loads(note.read_text()) if note.exists() else {}
    await wipe_weekly_results(home, stocks, TODAY, state, record)
    await stocks.close()

asyncio.run(main())
print("done", moments)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
async def test_a_kill_at_any_step_loses_nothing_and_the_next_run_finishes(tmp_path: Path) -> None:
    """Kills before and after every copy, wipe and note; each time the week is in the tables or in the archive."""
    homes = [(moment, Home(tmp_path / f"home{moment}")) for moment in range(1, 17)]
    before = {moment: await filled(home) for moment, home in homes}
    waiting = list(homes)
    while waiting:
        batch, waiting = waiting[:4], waiting[4:]
        killed = [child(_CHILD, home.folder, home.folder / "note", str(moment)) for moment, home in batch]
        for process in killed:
            out = (await asyncio.to_thread(process.communicate))[0]
            assert process.returncode == -9, out
        finished = [child(_CHILD, home.folder, home.folder / "note", "999") for _, home in batch]
        for process, (moment, home) in zip(finished, batch, strict=True):
            out = (await asyncio.to_thread(process.communicate))[0]
            assert out.startswith(b"done"), f"killed at moment {moment}"
            assert await empty(home)
            assert await archived(home) == before[moment], f"killed at moment {moment}"
