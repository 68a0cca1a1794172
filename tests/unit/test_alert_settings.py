"""The section [alerts]: what is accepted, what is refused and in which words, what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.alerts.alert import Severity
from engine.alerts.desk import policy_of
from engine.config import load_settings
from engine.errors import UsageError
from engine.home import Home
from engine.settings import AlertSettings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.create()
    return home


def test_the_section_is_written_as_people_write_it(home: Home) -> None:
    home.settings.write_text(
        """
        [alerts]
        warning = ["desktop + sound", "webhook"]
        critical = "webhook"
        critical_repeat_s = "90s"
        notice_repeat_s = 0
        quiet = "22:00 - 7:00"
        quiet_zone = "America/New_York"
        sound_command = "paplay '/usr/share/sounds/alarm clock.oga'"
        webhook_url = "https://hooks.example.org/T0/its-secret-part"
        """,
        encoding="utf-8",
    )
    alerts = load_settings(home, {}, {}).settings.alerts
    assert alerts.warning == ("desktop+sound", "webhook")
    assert alerts.critical == ("webhook",)
    assert alerts.critical_repeat_s == 90
    assert alerts.sound_command == ("paplay", "/usr/share/sounds/alarm clock.oga")
    same = load_settings(home, {"alerts.warning": "desktop+sound,webhook"}, {"TSH_ALERTS__NOTICE": '["sound"]'})
    assert same.settings.alerts.warning == alerts.warning
    assert same.settings.alerts.notice == ("sound",)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("quiet", "22-7", "not a window of the day; write 22:00-07:00"),
        ("quiet", "24:00-07:00", "not a window of the day"),
        ("quiet", "07:00-07:00", "begins where it ends"),
        ("quiet_zone", "Mars/Olympus", "no time zone"),
        ("warning", "desktop, pager", "'pager' is no sink of alerts; there are desktop, sound, webhook"),
        ("critical", ["desktop+"], "'' is no sink"),
        ("webhook_url", "ftp://example.org", "write https://host/path"),
        ("webhook_url", "http://hooks.example.org/x", "use https://"),
        ("webhook_url", "https://anna:pass@hooks.example.org/x", "no name and no password"),
        ("webhook_url", "https://hooks.example.org:99999/x", "webhook_url"),
        ("webhook_secret_name", "not a name", "webhook_secret_name"),
        ("webhook_tries", 0, "webhook_tries"),
        ("sound_command", "paplay 'open", "No closing quotation"),
        ("disk_free_mb", 0, "disk_free_mb"),
        ("critical_repeat_s", "-5", "critical_repeat_s"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(home: Home, key: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("+", r"\+")) as refused:
        load_settings(home, {f"alerts.{key}": value}, {})
    assert f"alerts.{key}" in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://10.1.2.3/x", "http://localhost/x", ""])
def test_clear_text_is_for_this_machine_and_private_networks(url: str) -> None:
    assert AlertSettings(webhook_url=url).webhook_url == url


def test_the_secret_part_of_the_webhook_is_neither_shown_nor_quoted_in_a_refusal(home: Home) -> None:
    effective = load_settings(home, {"alerts.webhook_url": "https://hooks.example.org/its-secret-part"}, {})
    shown = {key: value for key, value, _ in effective.rows()}
    assert shown["alerts.webhook_url"] == "https://hooks.example.org/..."
    with pytest.raises(UsageError) as refused:
        load_settings(home, {"alerts.webhook_url": "http://hooks.example.org/its-secret-part"}, {})
    assert "its-secret-part" not in str(refused.value)


def test_a_ladder_has_only_the_sinks_that_are_configured() -> None:
    plans = policy_of(AlertSettings(), {"desktop": "consoles", "sound": "", "webhook": ""}).plans
    assert plans[Severity.WARNING].sinks(5) == {"desktop"}
    plans = policy_of(AlertSettings(), {"desktop": "", "sound": "", "webhook": "https://..."}).plans
    assert plans[Severity.WARNING].sinks(0) == frozenset()
    assert plans[Severity.WARNING].sinks(1) == {"webhook"}
