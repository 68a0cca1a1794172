"""What a console advises to type in a shell reaches the home that it shows, not the shell's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_harness import RecordedEngine, painted, said, text_of, until

from app.client import EngineClient
from app.console import TshConsole
from app.shell_words import console_again, demo_home, in_a_shell
from engine.home import Home


def test_the_shells_own_home_needs_no_option(home: Home) -> None:
    assert in_a_shell("flatten", home) == "tshc flatten"
    assert console_again(home) == "tshc"


def test_another_home_is_named(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "an other")
    assert in_a_shell("engine stop", other) == f'tshc engine stop --home "{other.folder}"'
    assert console_again(other) == f'tshc --home "{other.folder}"'


def test_the_demo_is_opened_again_by_its_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSH_HOME", raising=False)
    assert console_again(demo_home()) == "tshc demo"
    assert in_a_shell("flatten", demo_home()) == f"tshc flatten --home {demo_home().folder}"


async def test_a_console_of_another_home_names_it_in_every_command_that_it_advises(
    engine: RecordedEngine, app: TshConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("TSH_HOME", str(tmp_path / "the shells own"))
    named = f"--home {engine.home.folder}"

    def shown() -> str:
        """Without the line breaks that a long path brings."""
        return "".join(text_of(app).replace("┃", "").split())

    async with app.run_test(size=(200, 40)) as pilot:
        await painted(pilot, app)
        await engine.stop()
        await until(lambda: f"Inashell:'tshcflatten{named.replace(' ', '')}'needsnoengine" in shown())
        await pilot.press("f12")
        await until(lambda: "run'tshcflatten--home" in shown())
        await pilot.press("escape")
        await engine.start()
        await painted(pilot, app)
        await pilot.press("q")
    told = " ".join(capsys.readouterr().err.split())
    assert f"'tshc --home {engine.home.folder}' attaches again" in told
    assert f"'tshc engine stop {named}' ends it" in told


async def test_what_is_wrong_with_the_settings_is_said_in_the_first_moment(engine: RecordedEngine) -> None:
    app = TshConsole(EngineClient(engine.home), first_words=("unknown setting 'execution.exit_minuts'",))
    async with app.run_test() as pilot:
        await painted(pilot, app)
        assert "exit_minuts" in said(app)
