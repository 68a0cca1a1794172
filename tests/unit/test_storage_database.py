"""What every database of a home keeps: whole transactions, and plain words when a file is not right."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from storage_samples import SPACES, bars, child, cycle, names, panel, weekdays

from engine.database import verify_copy
from engine.errors import StorageError
from engine.journal import JournalDb
from engine.storage.stocks_data_db import StocksDataDb
from engine.storage.variation_results_db import VariationResultsDb


async def _filled(path: Path) -> None:
    stocks = await StocksDataDb.open(path)
    sessions = weekdays(69)
    await stocks.begin_history("week", sessions)
    await stocks.append_history(0, bars(panel(names(40), sessions)))
    await stocks.close()


async def test_a_new_database_is_in_wal_mode_with_the_journal_at_full_synchronous(tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    stocks = await StocksDataDb.open(tmp_path / "stocks_data.db")
    try:
        assert await journal.row("PRAGMA journal_mode") == ("wal",)
        assert await journal.row("PRAGMA synchronous") == (2,)
        assert await journal.row("PRAGMA foreign_keys") == (1,)
        assert await stocks.row("PRAGMA journal_mode") == ("wal",)
        assert await stocks.row("PRAGMA synchronous") == (1,)
    finally:
        await journal.close()
        await stocks.close()


@pytest.mark.parametrize("keep", [0, 10, 4096, 0.3, 0.9])
async def test_a_truncated_database_is_refused_when_opened_and_left_as_it_is(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "stocks_data.db"
    await _filled(path)
    whole = path.read_bytes()
    cut = whole[: keep if isinstance(keep, int) else int(len(whole) * keep)]
    path.write_bytes(cut)
    with pytest.raises(StorageError, match="damaged") as told:
        await StocksDataDb.open(path)
    assert "nothing was changed" in str(told.value)
    assert "Move it away" in str(told.value)
    assert "archive" in str(told.value)
    assert path.read_bytes() == cut


@pytest.mark.parametrize("where", ["header", "page"])
async def test_overwritten_bytes_are_damage(tmp_path: Path, where: str) -> None:
    path = tmp_path / "stocks_data.db"
    await _filled(path)
    content = bytearray(path.read_bytes())
    start = 0 if where == "header" else len(content) // 2 // 4096 * 4096
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        await StocksDataDb.open(path, read_only=True)


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await (await JournalDb.open(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    ours = JournalDb.SCHEMA.version
    with pytest.raises(StorageError, match=rf"newer TSH Console \(version 99, this one knows {ours}\)"):
        await JournalDb.open(path)
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    journal, foreign = tmp_path / "journal.db", tmp_path / "stocks_data.db"
    await (await JournalDb.open(journal)).close()
    journal.rename(foreign)
    with pytest.raises(StorageError, match="not a stocks_data database"):
        await StocksDataDb.open(foreign)


async def test_a_missing_database_is_not_made_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "stocks_data.db"
    with pytest.raises(StorageError, match="does not exist"):
        await StocksDataDb.open(path, read_only=True)
    assert list(tmp_path.iterdir()) == []


async def test_a_write_ahead_log_without_its_database_is_not_adopted(tmp_path: Path) -> None:
    """Its pages would be played into the new file."""
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(StorageError, match="moved without it"):
        await JournalDb.open(tmp_path / "journal.db")
    assert not (tmp_path / "journal.db").exists()


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be opened or written.*choose another home"):
        await JournalDb.open(tmp_path / "missing" / "journal.db")


async def test_a_database_locked_by_another_process_is_told_and_usable_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await JournalDb.open(path, busy_s=0.1)
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')"
    )
    holder = child(hold + "; print('held', flush=True); sys.stdin.read()", path)
    try:
        assert holder.stdout is not None
        await asyncio.to_thread(holder.stdout.readline)
        with pytest.raises(StorageError, match="held by another process"):
            await journal.put("key", 1)
    finally:
        holder.communicate()
    await journal.put("key", 2)
    assert await journal.get("key") == 2
    await journal.close()


async def test_a_reader_may_not_write(tmp_path: Path) -> None:
    await _filled(tmp_path / "stocks_data.db")
    reader = await StocksDataDb.open(tmp_path / "stocks_data.db", read_only=True)
    with pytest.raises(StorageError):
        await reader.replace_companies({"A": "Agilent"})
    assert await reader.companies() == {}
    await reader.close()


async def test_a_reader_in_the_same_process_never_sees_half_of_a_transaction(tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    inside, seen = asyncio.Event(), []

    async def read() -> None:
        await inside.wait()
        seen.append(await journal.get("key"))

    reader = asyncio.create_task(read())
    async with journal.transaction() as connection:
        await connection.execute("INSERT INTO settings_kv VALUES ('key', '1', '')")
        inside.set()
        await asyncio.sleep(0.02)
        assert seen == []
        await connection.execute("UPDATE settings_kv SET value = '2'")
    await reader
    assert seen == [2]
    await journal.close()


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    journal = await JournalDb.open(tmp_path / "journal.db")
    inside = asyncio.Event()

    async def interrupted() -> None:
        async with journal.transaction() as connection:
            await connection.execute("INSERT INTO settings_kv VALUES ('key', '1', '')")
            inside.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(interrupted())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await journal.get("key") is None
    await journal.put("key", 3)
    assert await journal.get("key") == 3
    await journal.close()


async def test_two_openings_at_once_make_one_database(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(JournalDb.open(tmp_path / "journal.db") for _ in range(4)))
    await opened[0].put("key", "value")
    assert [await journal.get("key") for journal in opened] == ["value"] * 4
    for journal in opened:
        await journal.close()
    assert [p.name for p in tmp_path.iterdir()] == ["journal.db"]


_WRITER = """
import asyncio, sys
from pathlib import Path
from engine.storage.variation_results_db import VariationResultsDb
from storage_samples import SPACES, cycle

async def main():
    results = await VariationResultsDb.open(Path(sys.argv[1]), spaces=SPACES)
    number = await results.last_cycle()
    while True:
        print(number, flush=True)
        number += 1
        await results.append_cycle(number, cycle(number))

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_writer_killed_at_any_moment_leaves_whole_cycles_only(tmp_path: Path) -> None:
    path = tmp_path / "variation_results.db"
    reached = 0
    # What is waited for is counted in cycles, not in time: a busy machine may write none in 40 ms.
    for appended, delay in ((0, 0.0), (1, 0.004), (1, 0.011), (2, 0.023), (3, 0.037)):
        writer = child(_WRITER, path)
        assert writer.stdout is not None
        told = -1
        for _ in range(1 + appended):
            told = int(await asyncio.to_thread(writer.stdout.readline))
        assert told == reached + appended  # a new life goes on behind the last whole cycle
        await asyncio.sleep(delay)
        writer.kill()
        told = int((writer.stdout.read().split() or [told])[-1])
        writer.communicate()
        results = await VariationResultsDb.open(path, spaces=SPACES)
        reached = await results.last_cycle()
        assert reached in (told, told + 1)  # what was told stands; at most the next was committed untold
        for space in SPACES:
            stored = await results.results(space)
            assert [(r.cycle, r.slot) for r in stored] == [
                (c, s) for c in range(1, reached + 1) for s in range(1, 9)
            ]
        await results.close()
    assert reached >= 1 + 1 + 2 + 3


async def test_a_copy_is_complete_and_a_false_one_is_found(tmp_path: Path) -> None:
    results = await VariationResultsDb.open(tmp_path / "variation_results.db", spaces=SPACES)
    await results.append_cycle(1, cycle(1))
    copy = tmp_path / "archive" / "copy.db"
    await results.backup_to(copy)
    await verify_copy(copy, {"results_adx": 8, "results_kelt": 8})
    with pytest.raises(StorageError, match="results_adx has 8 rows, the original 9"):
        await verify_copy(copy, {"results_adx": 9})
    opened = await VariationResultsDb.open(copy, spaces=SPACES, read_only=True)
    assert await opened.table_hashes() == await results.table_hashes()
    await opened.close()
    copy.write_bytes(copy.read_bytes()[:5000])
    with pytest.raises(StorageError, match="nothing was wiped"):
        await verify_copy(copy, {"results_adx": 8})
    assert sorted(p.name for p in copy.parent.iterdir()) == ["copy.db"]
    await results.close()


_CRASH = """
import asyncio
from pathlib import Path
from engine.journal import JournalDb

async def main():
    journal = await JournalDb.open(Path(sys.argv[1]))
    await journal.put("key", "value")
    raise RuntimeError("the worker crashed")

asyncio.run(main())
"""


async def test_a_process_that_crashes_with_an_open_database_ends(tmp_path: Path) -> None:
    crashed = child(_CRASH, tmp_path / "journal.db")
    await asyncio.to_thread(crashed.communicate, timeout=240)
    assert crashed.returncode == 1
    journal = await JournalDb.open(tmp_path / "journal.db")
    assert await journal.get("key") == "value"
    await journal.close()
