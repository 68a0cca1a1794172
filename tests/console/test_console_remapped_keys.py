"""The operator's own keys: what console.toml may say, what it may not, and that the screen shows the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from console_harness import RecordedEngine, painted, text_of, until
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from app.client import EngineClient
from app.command_table import every_command, key_card, keys_text
from app.console import TshConsole
from app.dialogs.confirm import ConfirmDialog
from app.dialogs.flatten import FlattenDialog
from app.dialogs.help import HelpDialog
from app.keys import EVERYWHERE, TABLES, Command, Wish, normal_key, read_wishes, remapped, shown_key
from app.screens.base import ConsoleScreen
from app.widgets import box
from engine.errors import UsageError

COMMANDS = every_command(TshConsole)
ROOT = Path(__file__).parents[2]
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "console.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def wishes_of(path: Path) -> dict[str, Wish]:
    wishes = read_wishes([path], COMMANDS)
    remapped(COMMANDS, wishes)
    return wishes


# --- the table itself ---------------------------------------------------------------------------


def test_every_binding_of_the_console_is_in_the_table_with_words() -> None:
    wordless = [c for c in COMMANDS if not c.text]
    assert not wordless
    for mode in TshConsole.MODES:
        screen = TshConsole.MODES[mode]
        assert isinstance(screen, type)
        bound = {b.id for b in screen._merged_bindings.shown_keys}  # type: ignore[attr-defined]
        assert bound <= {c.id for c in COMMANDS}


def test_no_id_stands_for_two_commands() -> None:
    ids = [c.id for c in COMMANDS if c.id]
    assert len(ids) == len(set(ids))


def test_no_letter_does_two_things_on_one_screen() -> None:
    for mode in TshConsole.MODES:
        seen: dict[str, Command] = {}
        for command in (c for c in COMMANDS if c.place in (mode, EVERYWHERE)):
            for key in (k for k in command.keys if len(shown_key(k)) == 1):
                assert key not in seen, f"{key}: {seen[key].id} and {command.id}"
                seen[key] = command


def test_the_key_card_is_current() -> None:
    assert (ROOT / "app" / "KEYS.md").read_text(encoding="utf-8") == key_card(COMMANDS), (
        "make it anew: tshc keys --card > app/KEYS.md"
    )


def test_hints_on_the_panels_name_commands_that_exist_with_their_default_keys() -> None:
    defaults = {c.id: c.shown for c in COMMANDS}
    found = 0
    for path in sorted(Path(box.__file__).parents[1].rglob("*.py")):
        for key, name in re.findall(r'\("([^"]+)", "key:([^"]+)"\)', path.read_text(encoding="utf-8")):
            found += 1
            if path.name != "box.py":  # its docstring explains
                assert defaults[name] == key, f"{path.name}: {key} {name}"
    assert found > 1


# --- what console.toml may say --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("p", "p"), ("P", "P"), ("?", "question_mark"), ("question_mark", "question_mark"), ("/", "slash"),
        (" f5 ", "f5"), ("Ctrl+G", "ctrl+g"), ("shift+ctrl+f2", "ctrl+shift+f2"), ("space", "space"), ("ä", "ä"),
        ("ctrl+i", "tab"), ("ctrl+m", "enter"), ("cntrl+g", None), ("<any>", None), ("f99", None), ("", None),
        ("shift+e", None), ("two words", None),
    ],
)  # fmt: skip
def test_a_key_is_known_by_every_way_to_write_it(written: str, key: str | None) -> None:
    assert normal_key(written) == key


@given(st.characters(min_codepoint=33, max_codepoint=126))
def test_what_is_shown_of_a_printable_key_is_what_may_be_written(character: str) -> None:
    key = normal_key(character)
    assert key is not None
    assert shown_key(key) == character


def test_both_spellings_of_an_id_and_lists_of_keys_are_taken(write: Write) -> None:
    path = write('[keys]\ntraining.pause = "P"\n"groups.pause" = ["P", "f5"]\nweekday = "D, f6"\n')
    wishes = wishes_of(path)
    assert {name: wish.keys for name, wish in wishes.items()} == {
        "training.pause": ("P",),
        "groups.pause": ("P", "f5"),
        "weekday": ("D", "f6"),
    }


def test_two_commands_may_change_places(write: Write) -> None:
    wishes = wishes_of(write('[keys]\ntraining.pause = "s"\ntraining.stop = "p"\n'))
    now = {c.id: keys_text(c) for c in remapped(COMMANDS, wishes)}
    assert (now["training.pause"], now["training.stop"]) == ("s", "p")


def test_the_homes_file_comes_on_top_of_the_persons(tmp_path: Path) -> None:
    person, home = tmp_path / "person.toml", tmp_path / "home.toml"
    person.write_text('[keys]\njump = "f5"\nquit = "f6"\n', encoding="utf-8")
    home.write_text('[keys]\njump = "f7"\n', encoding="utf-8")
    wishes = read_wishes([person, home, tmp_path / "absent.toml"], COMMANDS)
    assert (wishes["jump"].keys, wishes["quit"].keys) == (("f7",), ("f6",))


REFUSED = [
    ('[keys]\ntraining.paus = "P"\n', "unknown key id 'training.paus'", "did you mean 'training.pause'?"),
    ('[keys]\ntraining.pause = "cntrl+p"\n', "'cntrl+p' for training.pause", "write p, P, f5"),
    ('[keys]\ntraining.pause = ""\n', "training.pause", "would have no key"),
    ("[keys]\ntraining.pause = []\n", "training.pause", "would have no key"),
    ("[keys]\ntraining.pause = 5\n", "is not text", 'write training.pause = "KEY"'),
    ('[keys]\ntraining.pause = "s"\n', "'s' would be both training.pause and training.stop", "give one of them"),
    ('[keys]\ntraining.pause = "w"\n', "'w' would be both training.pause and weekend", "give one of them"),
    ('[keys]\ntable.up = "k"\n', "'k' would be both table.up and overview.acknowledge", "give one of them"),
    ('[keys]\nflatten = "f9"\n', "flatten must keep F12", 'write flatten = "f12,KEY"'),
    ('[keys]\nflatten = "f12,x"\n', "'x' for flatten", "would swallow that letter"),
    ('[keys]\ncommands = "space"\n', "'space' for commands", "would swallow that letter"),
    ('[keys]\nquit = "f12"\n', "F12 is FLATTEN and nothing else", "give quit another key"),
    ('[keys]\njump = "escape"\n', "'esc' for jump", "choose another key"),
    ('[keys]\njump = "ctrl+i"\n', "'tab' for jump", "choose another key"),
    ('[keys]\njump = "ctrl+q"\n', "'ctrl+q' for jump", "choose another key"),
    ("[keys]\njump = \n", "is not valid TOML", "correct that line"),
    ('[colours]\naccent = "red"\n', "'colours'", "there is only [keys]"),
    ('keys = "p"\n', "'keys'", "there is only [keys]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what", "remedy"), REFUSED)
def test_what_cannot_be_is_refused_with_the_file_and_the_remedy(
    write: Write, text: str, what: str, remedy: str
) -> None:
    path = write(text)
    with pytest.raises(UsageError) as refused:
        wishes_of(path)
    said = str(refused.value)
    assert what in said
    assert remedy in said
    assert str(path) in said


def test_different_screens_may_use_one_key(write: Write) -> None:
    wishes_of(write('[keys]\ntraining.pause = "x"\n'))  # x sells on positions


@given(
    st.dictionaries(
        st.sampled_from([c.id for c in COMMANDS if c.id]),
        st.lists(st.sampled_from(["p", "s", "w", "f5", "f12", "ctrl+g", "P", "?", "k"]), min_size=1, max_size=2),
        max_size=4,
    )
)
def test_whatever_is_accepted_leaves_f12_and_no_key_with_two_meanings(wanted: dict[str, list[str]]) -> None:
    wishes = {
        name: Wish(tuple(dict.fromkeys(normal_key(k) or k for k in keys)), Path("x"))
        for name, keys in wanted.items()
    }
    try:
        now = remapped(COMMANDS, wishes)
    except UsageError:
        return
    assert [c.id for c in now if "f12" in c.keys] == ["flatten"]
    for mode in TshConsole.MODES:
        meanings: dict[str, set[str]] = {}
        for command in now:
            if command.place in (mode, EVERYWHERE, TABLES):
                for key in command.keys:
                    meanings.setdefault(key, set()).add(command.id)
        for key, ids in meanings.items():
            assert not (len(ids) > 1 and ids & wishes.keys()), (mode, key, ids)


# --- in the console --------------------------------------------------------------------------------


async def test_a_remapped_key_works_and_the_old_one_is_dead(engine: RecordedEngine, write: Write) -> None:
    path = write('[keys]\ntraining.pause = "P"\ntraining.stop = "p"\ngo.training = "f3"\n')
    app = TshConsole(EngineClient(engine.home), wishes=wishes_of(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("2")
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "overview"
        await pilot.press("f3", "P")
        await until(lambda: engine.commands)
        assert engine.commands == [("training_pause", {})]
        await pilot.press("s")
        assert not isinstance(app.screen, ConfirmDialog)
        await pilot.press("p")
        assert isinstance(app.screen, ConfirmDialog)  # stop asks
        await pilot.press("escape", "3", "p")  # the other screen's p is as it was
        await until(lambda: len(engine.commands) == 2)
    assert engine.commands[1] == ("search_pause", {})


async def test_key_line_panels_help_and_palette_show_the_keys_in_force(
    engine: RecordedEngine, write: Write
) -> None:
    path = write('[keys]\ntraining.pause = "P"\ngo.training = "f3"\nweekend = "W"\nflatten = ["f12", "f9"]\n')
    app = TshConsole(EngineClient(engine.home), wishes=wishes_of(path))
    async with app.run_test(size=(160, 50)) as pilot:
        await painted(pilot, app)
        await pilot.press("f3")
        await pilot.pause()
        shown = text_of(app).splitlines()
        assert "F3 training" in shown[-1]
        assert "W weekend" in shown[-1]
        assert shown[-1].rstrip().endswith("F12 FLATTEN")
        assert any("P pause / resume" in line for line in shown)
        await pilot.press("question_mark")
        await pilot.pause()
        told = text_of(app)
        assert re.search(r"P +pause or resume the training", told)
        assert re.search(r"F12 F9 +FLATTEN", told)
        assert re.search(r"1 F3 3 4 5 6 7 g +overview, training", told)
        await pilot.press("escape")
        hints = {c.title: c.help for c in app.get_system_commands(app.screen)}
    assert hints["Go to training"] == "key F3"
    assert "(W)" in hints["Weekend: run"]


async def test_a_second_flatten_key_works_under_a_field_too(engine: RecordedEngine, write: Write) -> None:
    app = TshConsole(EngineClient(engine.home), wishes=wishes_of(write('[keys]\nflatten = "f12,f9"\n')))
    async with app.run_test() as pilot:
        await painted(pilot, app)
        for key in ("f9", "f12"):
            await pilot.press("slash", *"abc")
            assert isinstance(app.focused, Input)
            await pilot.press(key)
            assert isinstance(app.screen, FlattenDialog)
            await pilot.press("escape", "escape")


async def test_a_click_on_the_key_line_does_what_its_remapped_key_does(
    engine: RecordedEngine, write: Write
) -> None:
    app = TshConsole(EngineClient(engine.home), wishes=wishes_of(write('[keys]\ngo.positions = "ctrl+o"\n')))
    async with app.run_test(size=(160, 40)) as pilot:
        await painted(pilot, app)
        line = text_of(app).splitlines()[-1]
        await pilot.click("#keys", offset=(line.index("ctrl+o positions") + 2, 0))
        await pilot.pause()
        assert isinstance(app.screen, ConsoleScreen)
        assert app.screen.MODE == "positions"


@pytest.mark.parametrize("mode", TshConsole.MODES)
async def test_at_80_by_24_the_help_has_every_key_of_the_screen_without_scrolling(
    app: TshConsole, mode: str
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press(app.shown_keys[f"go.{mode}"], "question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpDialog)
        shown = text_of(app)
        for command in app.commands:
            if command.place in (mode, EVERYWHERE, TABLES) and not command.id.startswith("go."):
                assert keys_text(command) in shown, command.id
        assert "1 … 7" in shown
        await pilot.press("question_mark")
        assert isinstance(app.screen, ConsoleScreen)


# --- from a shell -----------------------------------------------------------------------------------


def tshc(home: Path, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``tshc`` in a process of its own, with a configuration folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "--home", str(home), *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(config), "XDG_CONFIG_HOME": str(config)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_tshc_keys_prints_the_keys_in_force_and_where_they_come_from(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "console.toml").write_text('[keys]\ntraining.pause = "P"\n', encoding="utf-8")
    plain = tshc(home, tmp_path, "keys")
    assert plain.returncode == 0, plain.stderr
    assert re.search(r"^ +P +training\.pause +pause or resume", plain.stdout, re.MULTILINE)
    assert f"training.pause: p before, now as {home / 'console.toml'} says" in plain.stdout
    rows = json.loads(tshc(home, tmp_path, "keys", "--json").stdout)
    assert {"keys": ["f12"], "id": "flatten", "place": "everywhere"}.items() <= next(
        r for r in rows if r["id"] == "flatten"
    ).items()


def test_a_wrong_key_file_stops_the_start_before_any_engine_with_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "console.toml").write_text('[keys]\nflatten = "f9"\n', encoding="utf-8")
    for arguments in ((), ("keys",)):
        refused = tshc(home, tmp_path, *arguments)
        assert refused.returncode == 2
        assert "flatten must keep F12" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    assert sorted(p.name for p in home.iterdir()) == ["console.toml"]
    assert tshc(home, tmp_path, "keys", "--defaults").returncode == 0  # the list can still be had
