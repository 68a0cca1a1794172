"""What ``tshc`` answers in a shell when nothing runs where it looks, and when an engine runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli import run
from app.options import Options
from app.shell_words import demo_home, settings_not_applied
from engine.errors import EXIT_DONE, EXIT_FAILED
from engine.home import FileLock, Home


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The shell's own home, with nothing in it."""
    monkeypatch.delenv("TSH_HOME", raising=False)
    monkeypatch.setattr(Home, "default_folder", classmethod(lambda cls: tmp_path / "data"))
    home = Home(Home.default_folder())
    home.create()
    return home


def running(home: Home) -> FileLock:
    """What an engine of ``home`` holds as long as it lives."""
    home.create()
    lock = FileLock(home.engine_lock)
    assert lock.acquire()
    return lock


@pytest.mark.parametrize("command", [["flatten", "--yes"], ["status"], ["board"], ["approve"], ["unlatch"]])
def test_where_nothing_runs_the_home_is_named_and_the_demo_that_does(
    shell: Home, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == EXIT_FAILED
    alone = capsys.readouterr().err
    assert f"runs on {shell.folder}" in alone
    assert "demo" not in alone
    lock = running(demo_home())
    assert run(command) == EXIT_FAILED
    told = capsys.readouterr().err
    assert f"the demo's engine runs on {demo_home().folder}: give --home {demo_home().folder}" in told
    lock.release()


def test_a_typo_in_a_limit_does_not_stop_a_flatten(shell: Home, capsys: pytest.CaptureFixture[str]) -> None:
    shell.settings.write_text("[execution]\nexit_minuts = 20\n", encoding="utf-8")
    assert run(["flatten", "--yes"]) == EXIT_FAILED  # it went as far as looking for the market
    told = capsys.readouterr().err
    assert "exits are never blocked: unknown setting 'execution.exit_minuts'" in told
    assert "neither an engine nor a simulator runs" in told


def test_settings_that_come_after_an_engines_start_are_said_not_to_count(
    shell: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = running(shell)
    assert run(["--set", "execution.names=3", "--broker", "paper", "engine", "start"]) == EXIT_DONE
    assert "broker.mode=paper, execution.names=3 is NOT applied" in capsys.readouterr().err
    shell.settings.write_text("[execution]\nnames = 3\n", encoding="utf-8")
    assert run(["--set", "execution.names=3", "engine", "start"]) == EXIT_DONE
    assert "NOT applied" not in capsys.readouterr().err
    lock.release()


def test_a_value_that_could_not_be_read_is_told_by_its_name_only(shell: Home) -> None:
    lock = running(shell)
    shell.settings.write_text("[execution]\nexit_minuts = 20\n", encoding="utf-8")
    told = settings_not_applied(Options(shell, overrides={"alerts.webhook_url": "https://x.invalid/secret"}))
    assert "alerts.webhook_url is NOT applied" in told
    assert "secret" not in told
    lock.release()
