"""A recorded day: what is kept, how a reader finds it, how long it stays, and how it fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.events import Event, RecordingStopped
from engine.model import NEW_YORK, UTC
from engine.recording.day_file import day_files, day_path, prune, recorded_days
from engine.recording.recorder import KEY_FRAMES, DayWriter, Recorder
from engine.recording.tape import Tape
from engine.settings import RecordingSettings
from engine.view_board import ViewBoard
from engine.views import EventView, PositionRow, PositionsView, StatusView, TrainingView

DAY = date(2026, 11, 23)
OPEN = datetime(2026, 11, 23, 9, 30, tzinfo=NEW_YORK).astimezone(UTC)
WALL = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


class Heard:
    """What was published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


def board_at(market: datetime = OPEN, **status: object) -> ViewBoard:
    board = ViewBoard()
    board.status = StatusView.model_validate({"market_time": market, "mode": "paper", **status})
    return board


def event(seq: int, text: str = "something happened") -> EventView:
    return EventView(seq=seq, at=WALL, market_at=OPEN, kind="noted", level="info", text=text)


def recorder(folder: Path, board: ViewBoard, **settings: object) -> Recorder:
    return Recorder(folder, RecordingSettings.model_validate(settings), board, Heard())


def price(last: str) -> PositionsView:
    return PositionsView(session=DAY, rows=(PositionRow(symbol="ABCD", shares=100, last=Decimal(last)),))


def written(folder: Path, steps: list[tuple[float, float]], *, day: date = DAY) -> Path:
    """A recording with a frame at each (wall, market) second after its beginning."""
    writer = DayWriter(day_path(folder, day), pid=1, first_seq=0, anchor="")
    for seq, (wall, market) in enumerate(steps):
        at = OPEN + timedelta(seconds=market)
        wall_us = round((WALL.timestamp() + wall) * 1e6)
        writer.write(board_at(at).views(), seq, wall_us, round(at.timestamp() * 1e6))
    writer.close()
    return day_path(folder, day)


def read(path: Path) -> Tape:
    return Tape.open(path)


# --- what is kept ------------------------------------------------------------------------------


def test_every_change_that_is_not_a_mere_clock_is_a_frame_and_a_clock_is_one_a_second(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    for tick in range(12):  # three seconds at 4 Hz
        board.status = board.status.model_copy(update={"market_time": OPEN + timedelta(seconds=tick / 4)})
        if tick in (1, 2):
            board.positions = price(f"10.0{tick}")
        recording.look(tick / 4)
    recording._close()
    tape = read(day_path(tmp_path, DAY))
    shown = [tape.trees(i)["positions"]["rows"][0]["last"] if i else None for i in range(len(tape))]
    assert shown[:3] == [None, "10.01", "10.02"]
    assert len(tape) == 5  # 0, the two prices, and the clock a second after each frame
    tape.close()


def test_a_view_that_went_and_came_back_within_a_period_is_no_change(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    recording.look(0.0)
    board.positions = price("10.00")
    board.positions = PositionsView()
    recording.look(0.25)
    recording._close()
    assert len(read(day_path(tmp_path, DAY))) == 1


def test_nothing_is_kept_before_the_market_clock_is_known(tmp_path: Path) -> None:
    recording = recorder(tmp_path, ViewBoard())
    recording.look(0.0)
    assert day_files(tmp_path) == []


def test_the_number_of_the_newest_event_goes_with_each_frame(tmp_path: Path) -> None:
    board = board_at()
    board.add_event(event(7, "before"))
    recording = recorder(tmp_path, board)
    recording.look(0.0)
    board.add_event(event(8))
    board.positions = price("10.00")
    recording.look(0.25)
    recording._close()
    tape = read(day_path(tmp_path, DAY))
    assert [tape.seq(i) for i in range(len(tape))] == [7, 8]
    assert tape.anchors() == [(7, "noted: before")]
    assert tape.index_of_seq(8) == 1
    assert tape.index_of_seq(9) is None


def test_a_new_market_day_is_a_new_file_that_begins_whole(tmp_path: Path) -> None:
    board = board_at()
    board.training = TrainingView(cycle=3)
    recording = recorder(tmp_path, board)
    recording.look(0.0)
    board.status = board.status.model_copy(update={"market_time": OPEN + timedelta(days=1)})
    recording.look(1.0)
    recording._close()
    assert [path.stem for path in day_files(tmp_path)] == ["2026-11-23", "2026-11-24"]
    assert read(day_path(tmp_path, date(2026, 11, 24))).trees(0)["training"]["cycle"] == 3


def test_a_second_run_of_a_day_is_added_to_it(tmp_path: Path) -> None:
    for pnl in ("1.50", "-20.25"):
        recording = recorder(tmp_path, board_at(day_pnl=Decimal(pnl)))
        recording.look(0.0)
        recording._close()
    [day] = recorded_days(tmp_path)
    assert (day.day, day.runs, day.frames, day.mode, day.day_pnl) == (DAY, 2, 2, "paper", "-20.25")


# --- finding a moment ----------------------------------------------------------------------------


def test_a_tape_runs_with_the_markets_clock_and_with_the_wall_while_that_is_held(tmp_path: Path) -> None:
    path = written(tmp_path, [(0, 0), (1, 300), (2, 300), (3, 300), (4, 310)])
    tape = read(path)
    assert [tape.position(i) for i in range(len(tape))] == pytest.approx([0, 300, 301, 302, 312])
    assert [tape.index_at(s) for s in (-5, 0, 299, 300, 301.5, 9999)] == [0, 0, 0, 1, 2, 4]


def test_a_jump_of_the_clock_and_a_time_without_frames_are_short(tmp_path: Path) -> None:
    path = written(tmp_path, [(0, 0), (1, 9000), (3601, 12_600), (3602, 12_601)])
    tape = read(path)
    assert [tape.position(i) for i in range(len(tape))] == pytest.approx([0, 1, 2, 3])
    assert [tape.gap_after(i) for i in range(len(tape))] == [0, 3600, 0, 0]


def test_a_time_is_found_where_the_clock_passed_it(tmp_path: Path) -> None:
    tape = read(written(tmp_path, [(0, 0), (1, 60), (2, 120), (3, 0), (4, 90), (5, 100)]))
    assert tape.index_of_market(OPEN + timedelta(seconds=60)) == 1
    assert tape.index_of_market(OPEN + timedelta(seconds=61)) == 1
    assert tape.index_of_market(OPEN + timedelta(seconds=61), after=1) == 3  # the second time round
    assert tape.index_of_market(OPEN + timedelta(seconds=61), after=4) == 1  # and round again
    assert tape.index_of_market(OPEN + timedelta(seconds=100), after=1) == 5
    assert tape.index_of_market(OPEN - timedelta(seconds=1)) is None
    assert tape.index_of_market(OPEN + timedelta(seconds=121)) is None


def test_a_frame_is_the_same_whichever_way_it_is_reached(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    count = KEY_FRAMES + 30
    for tick in range(count):
        board.positions = price(f"{10 + tick / 100:.2f}")
        recording.look(tick / 4)
    recording._close()
    tape = read(day_path(tmp_path, DAY))
    assert len(tape) == count
    forward = [tape.trees(i)["positions"]["rows"][0]["last"] for i in range(count)]
    assert forward == [f"{10 + tick / 100:.2f}" for tick in range(count)]
    backward = [tape.trees(i)["positions"]["rows"][0]["last"] for i in reversed(range(count))]
    assert backward == forward[::-1]


def test_a_reader_follows_a_day_that_is_still_recorded(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    recording.look(0.0)
    recording.look(1.5)  # commits
    tape = read(day_path(tmp_path, DAY))
    assert not tape.extend()
    board.positions = price("10.00")
    recording.look(3.0)
    assert tape.extend()
    assert tape.trees(1)["positions"]["rows"][0]["last"] == "10.00"
    tape.close()
    recording._close()


# --- how long it stays ------------------------------------------------------------------------------


def test_old_recordings_go_by_their_age_then_by_the_room_they_take(tmp_path: Path) -> None:
    now = time.time()
    for number in range(5):
        path = written(tmp_path, [(0, 0)], day=date(2030, 1, 1 + number))
        os.utime(path, (now, now - 86_400 * (10 - number)))
    (tmp_path / "notes.db").write_text("mine")
    size = day_files(tmp_path)[0].stat().st_size
    spare = day_path(tmp_path, date(2030, 1, 1))
    gone = prune(tmp_path, keep_days=8, max_bytes=3 * size, spare=spare, now_s=now)
    assert [path.stem for path in gone] == ["2030-01-02", "2030-01-03"]  # 9 days old; then one too many
    assert [path.stem for path in day_files(tmp_path)] == ["2030-01-01", "2030-01-04", "2030-01-05"]
    assert (tmp_path / "notes.db").exists()


def test_a_file_that_was_deleted_while_it_was_written_is_begun_anew(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    recording.look(0.0)
    day_path(tmp_path, DAY).unlink()
    board.positions = price("10.00")
    recording.look(61.0)
    board.positions = price("11.00")
    recording.look(61.25)
    recording._close()
    tape = read(day_path(tmp_path, DAY))
    assert tape.trees(0)["positions"]["rows"][0]["last"] == "11.00"


# --- how it fails --------------------------------------------------------------------------------


async def published(heard: Heard) -> RecordingStopped:
    async with asyncio.timeout(60):
        while not heard.events:  # noqa: ASYNC110 - a thread tells it
            await asyncio.sleep(0.02)
    [stopped] = heard.events
    assert isinstance(stopped, RecordingStopped)
    return stopped


async def test_a_recording_that_cannot_be_written_says_so_once_and_nothing_else_happens(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file where the folder should be")
    heard = Heard()
    recording = Recorder(tmp_path / "recordings", RecordingSettings(), board_at(), heard)
    recording.start()
    stopped = await published(heard)
    assert "everything else goes on" in stopped.text
    assert stopped.level == "warning"
    await recording.stop()
    assert len(heard.events) == 1


async def test_a_recording_ends_when_its_file_alone_takes_all_the_room(tmp_path: Path) -> None:
    heard = Heard()
    path = written(tmp_path, [(0, 0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ballast (body BLOB)")
        connection.execute("INSERT INTO ballast VALUES (zeroblob(1500000))")
        connection.commit()
    recording = Recorder(tmp_path, RecordingSettings(max_mb=1), board_at(), heard)
    recording.start()
    assert "recording.max_mb (1 MB)" in (await published(heard)).text
    await recording.stop()


async def test_switched_off_it_writes_nothing(tmp_path: Path) -> None:
    recording = recorder(tmp_path, board_at(), enabled=False)
    recording.start()
    await recording.stop()
    assert day_files(tmp_path) == []


async def test_stopping_writes_the_last_moment(tmp_path: Path) -> None:
    board = board_at()
    recording = recorder(tmp_path, board)
    recording.start()
    await asyncio.sleep(0.6)
    board.training = TrainingView(cycle=9)
    await recording.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-23.db"]  # no companion files
    tape = read(day_path(tmp_path, DAY))
    assert tape.trees(len(tape) - 1)["training"]["cycle"] == 9


FOREVER = """
import sys, asyncio, datetime as dt
from pathlib import Path
from engine.settings import RecordingSettings
from engine.recording.recorder import Recorder
from engine.view_board import ViewBoard
from engine.views import StatusView, TrainingView

async def main():
    board = ViewBoard()
    board.status = StatusView(market_time=dt.datetime(2026, 11, 23, 14, 30, tzinfo=dt.UTC))
    Recorder(Path(sys.argv[1]), RecordingSettings(), board, None).start()
    for cycle in range(10_000):
        board.training = TrainingView(cycle=cycle)
        board.status = board.status.model_copy(update={"orders_open": cycle})
        board.positions = board.positions.model_copy(update={"foreign": (str(cycle),)})
        print(cycle, flush=True)
        await asyncio.sleep(0.1)

asyncio.run(main())
"""


def test_a_killed_engine_leaves_a_day_that_can_be_replayed_up_to_its_last_seconds(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FOREVER, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last == 40:
            break
    process.kill()
    process.wait(60)
    process.stdout.close()
    tape = read(day_path(tmp_path, DAY))
    shown = [tape.trees(i) for i in range(len(tape))]
    cycles = [trees["training"]["cycle"] for trees in shown]
    assert cycles == sorted(set(cycles))
    assert last - cycles[-1] <= 30  # of 0.1 s each; it is written once a second, by a thread that may wait
    assert [int(trees["positions"]["foreign"][0]) for trees in shown] == cycles  # whole moments, not halves


# --- files that are not right --------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()


def without_frames(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM frames")
        connection.execute("DELETE FROM runs")
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "is damaged"),
        (emptied, "is damaged"),
        (newer, "newer TSH Console"),
        (foreign, "not a recording"),
        (without_frames, "holds no frame"),
    ],
)
def test_a_file_that_is_not_right_is_refused_in_plain_words_and_listed_as_such(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    path = written(tmp_path, [(i, i) for i in range(400)])
    spoil(path)
    with pytest.raises(StorageError, match=says):
        read(path)
    [day] = recorded_days(tmp_path)
    assert says in day.damage


def test_a_spoiled_frame_is_named_and_those_before_it_can_be_seen(tmp_path: Path) -> None:
    path = written(tmp_path, [(i, i) for i in range(10)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE frames SET body = x'00' WHERE frame = 6")
        connection.commit()
    tape = read(path)
    assert tape.trees(4)["status"]["mode"] == "paper"
    with pytest.raises(StorageError, match="damaged at frame 6"):
        tape.trees(7)
    assert tape.trees(4)["status"]["mode"] == "paper"
