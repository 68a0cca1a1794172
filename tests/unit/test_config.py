"""Settings: layers, origins, and refusals that name the key, its origin and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_broker_settings, load_settings, valid_keys
from engine.errors import UsageError
from engine.home import Home
from engine.setting_values import seconds


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_each_layer_overrides_the_one_below_and_says_where_the_value_came_from(home: Home) -> None:
    home.settings.write_text("[training]\ncycles = 7\nseed = 7\nslots = 7\n", encoding="utf-8")
    environ = {"TSH_TRAINING__SEED": "8", "TSH_TRAINING__SLOTS": "8"}
    effective = load_settings(home, {"training.slots": 9}, environ)
    training = effective.settings.training
    assert (training.cycles, training.seed, training.slots) == (7, 8, 9)
    origins = {key: origin for key, _, origin in effective.rows()}
    assert origins["training.cycles"] == "tsh.toml"
    assert origins["training.seed"] == "TSH_TRAINING__SEED"
    assert origins["training.slots"] == "command line"
    assert origins["training.backend"] == "default"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("training.cylces", "training.cycles"),
        ("trainin.cycles", "training"),
        ("execution.spread_cap", "execution.spread_cap_pct"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_valid_name(home: Home, wrong: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{near}'"):
        load_settings(home, {wrong: 1}, {})


def test_an_unknown_environment_variable_is_refused(home: Home) -> None:
    with pytest.raises(UsageError, match=r"TSH_EXECUTION__NAMES|execution\.names"):
        load_settings(home, {}, {"TSH_EXECUTION__NAMS": "4"})
    with pytest.raises(UsageError, match="TSH_SECTION__KEY"):
        load_settings(home, {}, {"TSH_CYCLES": "4"})


def test_home_and_foreign_variables_are_not_settings(home: Home) -> None:
    load_settings(home, {}, {"TSH_HOME": "/elsewhere", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"training.cycles": "many"}, "valid integer"),
        ({"search.budget_s": "24 parsecs"}, "not a duration"),
        ({"data.price_low": 300}, "price_low must be below price_high"),
        ({"search.score_lambda": float("nan")}, "finite"),
        ({"execution.brackets": [["x"]]}, "execution.brackets"),
        ({"search.permutations": 18}, "no group could ever reach 0.05: at least 19, or 0"),
        ({"search.permutations": 1}, "the least p is 0.500"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(home: Home, overrides: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_settings(home, overrides, {})


def test_a_broken_settings_file_is_refused_and_left_alone(home: Home) -> None:
    home.settings.write_text("[training\ncycles = 7\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_settings(home, {}, {})
    assert home.settings.read_text(encoding="utf-8").startswith("[training")


@pytest.mark.parametrize(
    ("text", "value"), [("24h", 86400), ("90m", 5400), ("60s", 60), ("1h30m", 5400), ("250ms", 0.25), ("12", 12)]
)
def test_durations_are_written_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


def test_every_key_names_a_section_and_a_field() -> None:
    keys = valid_keys()
    assert len(keys) == len(set(keys)) > 60
    assert all(key.count(".") == 1 for key in keys)


PAPER = "[broker]\nmode = 'paper'\n"


@pytest.mark.parametrize("mistake", ["[execution]\nexit_minuts = 20\n", "[execution]\nnames = 'four'\n"])
def test_a_mistake_in_another_section_does_not_block_an_exit(home: Home, mistake: str) -> None:
    home.settings.write_text(PAPER + mistake, encoding="utf-8")
    broker, wrong = load_broker_settings(home, {}, {"TSH_BROKER__TIMEOUT_S": "3", "TSH_TRAINING__CYLCES": "1"})
    assert (broker.mode, broker.timeout_s) == ("paper", 3.0)
    assert "execution." in wrong or "training.cylces" in wrong


@pytest.mark.parametrize("text", ["[brokr]\nmode = 'live'\n", "[broker]\nmod = 'live'\n", "[broker\n"])
def test_an_exit_never_guesses_whose_money_it_is(home: Home, text: str) -> None:
    home.settings.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="--broker sim, paper or live goes on without the file"):
        load_broker_settings(home, {}, {})
    broker, wrong = load_broker_settings(home, {"broker.mode": "live"}, {})
    assert broker.mode == "live"
    assert wrong


def test_settings_without_a_mistake_are_an_exits_too(home: Home) -> None:
    home.settings.write_text(PAPER, encoding="utf-8")
    broker, wrong = load_broker_settings(home, {}, {})
    assert (broker.mode, wrong) == ("paper", "")
