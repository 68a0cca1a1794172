"""The exchange's sessions come from disk when they are there, and are the calendar's own either way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import exchange_calendars
import pytest

from engine.model import UTC
from engine.simulator.session_cache import year_sessions

PROJECT = Path(__file__).parents[2]


def test_what_is_kept_is_what_the_calendar_says_half_days_and_holidays_included(tmp_path: Path) -> None:
    schedule = exchange_calendars.get_calendar("XNYS", start="2025-01-01", end="2026-12-31").schedule
    wanted = [
        (day.date(), opened.to_pydatetime().astimezone(UTC), closed.to_pydatetime().astimezone(UTC))
        for day, opened, closed in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    ]
    for _ in range(2):  # computed, then read
        assert [(s.day, s.open, s.close) for s in year_sessions(2025, 2026, tmp_path)] == wanted
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2025.json", "2026.json"]


def test_kept_years_are_read_without_loading_the_calendar_library(tmp_path: Path) -> None:
    year_sessions(2026, 2026, tmp_path)
    program = (
        "import sys; from pathlib import Path; from engine.simulator.session_cache import year_sessions; "
        "assert year_sessions(2026, 2026, Path(sys.argv[1])); assert 'exchange_calendars' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", ["", "[[1, 2]]", '[["2026-01-02"]]', '{"a": 1}', "[[1, 2, 3]]"])
def test_a_damaged_year_is_computed_again_and_kept_anew(tmp_path: Path, content: str) -> None:
    sound = year_sessions(2026, 2026, tmp_path)
    file = tmp_path / "2026.json"
    whole = file.read_text(encoding="utf-8")
    file.write_text(content, encoding="utf-8")
    assert year_sessions(2026, 2026, tmp_path) == sound
    assert file.read_text(encoding="utf-8") == whole


def test_where_nothing_can_be_kept_the_sessions_are_there_all_the_same(tmp_path: Path) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.touch()
    assert year_sessions(2026, 2026, blocked / "years") == year_sessions(2026, 2026, tmp_path)
