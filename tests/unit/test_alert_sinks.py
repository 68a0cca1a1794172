"""The ways out: a webhook against a real server, programs of the machine, texts without secrets."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from webhook_server import webhook_server

from engine.alerts.alert import Alert, Severity, Telling, Topic
from engine.alerts.delivery import Delivery
from engine.alerts.desktop import DesktopSink, Notifier, find_notifier
from engine.alerts.in_force import open_sinks
from engine.alerts.program import run_program
from engine.alerts.sink import Note, Outcome, Scrubber, note_of, secrets_of
from engine.alerts.sound import SoundSink
from engine.alerts.webhook import WebhookSink
from engine.model import Mode
from engine.redaction import without_secrets
from engine.settings import AlertSettings, Settings

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
ALERT = Alert("exit-ABC", Severity.CRITICAL, Topic.EXITS, "ABC: the exit was refused", False, NOW, NOW, rings=3)
NOTE = note_of(Telling(ALERT, "raised", ()), mode="paper", home="home", at=NOW, scrub=Scrubber(()))


class Pauses:
    """An injected clock: remembers how long somebody wanted to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def webhook(url: str, secret: str = "", **settings: object) -> tuple[WebhookSink, Pauses]:
    pauses = Pauses()
    alerts = AlertSettings.model_validate({"webhook_url": url, **settings})
    return WebhookSink(alerts, secret, sleep=pauses), pauses


async def sent(sink: WebhookSink, note: Note = NOTE) -> Outcome:
    try:
        return await sink.send(note)
    finally:
        await sink.close()


async def test_a_webhook_gets_one_post_of_json_that_says_everything_about_the_alert() -> None:
    async with webhook_server() as server:
        sink, _ = webhook(server.url)
        assert await sent(sink) == Outcome("webhook", "sent")
    ((headers, _),) = server.got
    assert headers["Content-Type"] == "application/json"
    assert "X-TSH-Signature" not in headers
    assert server.bodies == [
        {
            "version": 1,
            "text": "TSH PAPER CRITICAL: ABC: the exit was refused",
            "alert": {
                "key": "exit-ABC",
                "severity": "critical",
                "topic": "exits",
                "state": "raised",
                "message": "ABC: the exit was refused",
                "count": 1,
                "opened_at": "2026-11-23T15:00:00.000000Z",
                "at": "2026-11-23T15:00:00.000000Z",
                "number": 3,
            },
            "engine": {"mode": "paper", "home": "home"},
        }
    ]


async def test_a_signature_can_be_checked_with_the_secret_alone() -> None:
    async with webhook_server() as server:
        sink, _ = webhook(server.url, secret="a secret")
        assert (await sent(sink)).state == "sent"
    ((headers, body),) = server.got
    stamp, digest = (part.split("=")[1] for part in headers["X-TSH-Signature"].split(","))
    assert digest == hmac.new(b"a secret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


async def test_a_server_that_fails_is_asked_again_with_growing_pauses() -> None:
    async with webhook_server(500, 503, 200) as server:
        sink, pauses = webhook(server.url, webhook_backoff_s=1.5)
        assert await sent(sink) == Outcome("webhook", "sent", "at try 3")
    assert pauses.slept == [1.5, 3.0]
    assert len({body for _, body in server.got}) == 1  # the same telling each time: key and number name it


async def test_a_server_that_keeps_failing_ends_as_failed_with_its_last_answer() -> None:
    async with webhook_server(500) as server:
        sink, pauses = webhook(server.url, webhook_tries=3)
        assert await sent(sink) == Outcome("webhook", "failed", "the server answered 500 (3 tries)")
    assert len(server.got) == 3
    assert pauses.slept == [1.0, 2.0]


async def test_a_server_that_asks_for_patience_gets_it_within_a_bound() -> None:
    async with webhook_server(429, 429, 200, Retry_After="20") as server:
        sink, pauses = webhook(server.url)
        assert (await sent(sink)).state == "sent"
    assert pauses.slept == [20.0, 20.0]
    async with webhook_server(503, 200, Retry_After="86400") as server:
        sink, pauses = webhook(server.url)
        assert (await sent(sink)).state == "sent"
    assert pauses.slept == [60.0]


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_server_that_says_no_is_not_asked_again(status: int) -> None:
    async with webhook_server(status) as server:
        sink, pauses = webhook(server.url)
        assert await sent(sink) == Outcome("webhook", "failed", f"the server answered {status}")
    assert len(server.got) == 1
    assert pauses.slept == []


async def test_a_redirect_is_not_followed() -> None:
    async with webhook_server() as elsewhere, webhook_server(302, Location=elsewhere.url) as server:
        sink, _ = webhook(server.url)
        assert (await sent(sink)).detail == "the server answered 302; a redirect is not followed"
    assert elsewhere.got == []


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    async with webhook_server("slow") as server:
        sink, _ = webhook(server.url, webhook_timeout_s=1.0, webhook_tries=2)
        assert await sent(sink) == Outcome("webhook", "failed", "no answer in 1 s (2 tries)")
    assert len(server.got) == 2


async def test_a_server_that_is_not_there_is_told_without_its_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        sink, _ = webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/hook/its-secret-part", webhook_tries=2)
        outcome = await sent(sink)
    assert outcome.state == "failed"
    assert "cannot be reached" in outcome.detail
    assert "secret" not in outcome.detail


async def test_what_is_not_configured_says_so() -> None:
    assert await sent(WebhookSink(AlertSettings())) == Outcome(
        "webhook", "not configured", "alerts.webhook_url is empty"
    )
    assert WebhookSink(AlertSettings()).in_force() == ""


async def test_an_engine_starts_without_the_webhooks_secret_and_the_sink_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    settings = Settings.model_validate(
        {"alerts": {"webhook_url": "https://example.org/x", "webhook_secret_name": "NO_SUCH_SECRET"}}
    )
    sink = next(s for s in open_sinks(settings, consoles=lambda: 0) if s.name == "webhook")
    assert sink.in_force().startswith("NOT USABLE")
    outcome = await sink.send(NOTE)
    assert outcome.state == "failed"
    assert "keyring set tsh-console NO_SUCH_SECRET" in outcome.detail


def test_what_is_in_force_shows_the_host_and_not_the_path() -> None:
    sink, _ = webhook("https://hooks.example.org/its-secret-part", secret="x")
    assert sink.in_force() == "https://hooks.example.org/..., signed, 4 tries"


# --- secrets ---------------------------------------------------------------------------------


def test_a_note_carries_no_known_secret_and_no_more_text_than_it_should() -> None:
    secrets = secrets_of({"APCA_API_SECRET_KEY": "abcdef123456", "HOME": "/home/anna", "MY_TOKEN": "shh"})
    assert secrets == ("abcdef123456", "shh")
    alert = replace(ALERT, text="refused for key\nabcdef123456 at the broker " + "x" * 1000)
    note = note_of(Telling(alert, "raised", ()), mode="sim", home="h", at=NOW, scrub=Scrubber(secrets))
    assert note.text.startswith("refused for key *** at the broker")
    assert len(note.text) <= 400


async def test_a_program_sees_none_of_our_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_SECRET_KEY", "abcdef123456")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    out = tmp_path / "seen"
    script = "import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(repr(dict(os.environ)))"
    assert await run_program([sys.executable, "-c", script, str(out)], extra={"TSH_ALERT_BODY": "hello"}) == ""
    seen = out.read_text()
    assert "hello" in seen
    assert "PATH" in seen
    assert "abcdef123456" not in seen
    assert "sk-1234567890" not in seen
    assert "APCA_API_SECRET_KEY" not in without_secrets(os.environ)


# --- programs --------------------------------------------------------------------------------


async def test_a_program_that_fails_hangs_or_is_missing_says_why() -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no sound card')"]
    assert "ended with 1: no sound card" in await run_program(failing)
    hanging = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert "had not ended after 0.3 s" in await run_program(hanging, timeout_s=0.3)
    assert "cannot be started" in await run_program(["/no/such/player"])


async def test_sound_is_the_bell_of_the_consoles_and_the_operators_own_player(tmp_path: Path) -> None:
    played = tmp_path / "played"
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
    settings = AlertSettings(sound_command=(sys.executable, "-c", script, str(played)))
    outcome = await SoundSink(settings, lambda: 1).send(NOTE)
    assert outcome.state == "sent"
    assert "bell of 1 attached console" in outcome.detail
    assert played.exists()
    assert (await SoundSink(AlertSettings(), lambda: 2).send(NOTE)).detail == "bell of 2 attached consoles"
    assert (await SoundSink(AlertSettings(), lambda: 0).send(NOTE)).state == "not configured"
    assert SoundSink(AlertSettings(bell=False), lambda: 1).in_force() == ""
    over = replace(NOTE, what="recovered")
    assert (await SoundSink(AlertSettings(), lambda: 1).send(over)).state == "not configured"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for the machine's notifier")
async def test_without_a_console_the_machines_own_notifier_gets_the_words_as_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, program = tmp_path / "seen", tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    consoles = [0]
    sink = DesktopSink(AlertSettings(), Mode.PAPER, lambda: consoles[0], lambda: find_notifier(platform="linux"))
    note = replace(NOTE, text="-h <b>$(reboot)</b> & more")
    assert await sink.send(note) == Outcome("desktop", "sent", "notify-send")
    assert seen.read_text().splitlines()[1:] == [
        "--urgency=critical",
        "--",
        "TSH PAPER CRITICAL",
        "-h &lt;b&gt;$(reboot)&lt;/b&gt; &amp; more",
    ]
    seen.unlink()
    consoles[0] = 1
    assert await sink.send(note) == Outcome("desktop", "sent", "by 1 attached console")
    assert not seen.exists()
    both = DesktopSink(
        AlertSettings(desktop="always"), Mode.SIM, lambda: 1, lambda: find_notifier(platform="linux")
    )
    assert (await both.send(note)).detail == "notify-send"
    assert seen.exists()
    program.write_text("#!/bin/sh\necho no daemon >&2\nexit 1\n")
    consoles[0] = 0
    assert (await sink.send(note)).detail.endswith("ended with 1: no daemon")


def test_a_simulated_market_does_not_bother_the_desktop_unless_it_is_told_to() -> None:
    def notifier() -> Notifier:
        return Notifier("a notifier", lambda note: ("true",))

    def in_force(mode: Mode, **settings: object) -> str:
        return DesktopSink(AlertSettings.model_validate(settings), mode, lambda: 0, notifier).in_force()

    assert "a notifier" not in in_force(Mode.SIM)
    assert "a notifier" in in_force(Mode.SIM, desktop="always")
    assert "a notifier" in in_force(Mode.LIVE)
    assert "a notifier" not in in_force(Mode.LIVE, desktop="console")
    assert in_force(Mode.LIVE, desktop="off") == ""


def test_each_machine_has_its_own_notifier_or_none() -> None:
    def which(name: str) -> str:
        return f"/bin/{name}"

    linux, mac, windows = (find_notifier(which, platform) for platform in ("linux", "darwin", "win32"))
    assert linux is not None
    assert mac is not None
    assert windows is not None
    assert [n.name for n in (linux, mac, windows)] == ["notify-send", "osascript", "PowerShell"]
    note = replace(NOTE, text='" & do shell script "reboot')
    assert list(mac.command(note))[-2:] == [note.title, note.body]  # arguments, not part of the script
    assert all(note.text not in word for word in windows.command(note))  # by the environment
    assert find_notifier(lambda name: None, "linux") is None


# --- one queue a sink -------------------------------------------------------------------------


class Gate:
    """A sink that waits until it is opened."""

    def __init__(self, name: str, *, is_open: bool = True) -> None:
        self.name, self.got, self.opened = name, [], asyncio.Event()
        self.got: list[Note]
        if is_open:
            self.opened.set()

    def in_force(self) -> str:
        return "a gate"

    async def send(self, note: Note) -> Outcome:
        self.got.append(note)
        await self.opened.wait()
        if note.key == "bug":
            raise ZeroDivisionError
        return Outcome(self.name, "sent")

    async def close(self) -> None:
        return


async def until(condition: object) -> None:
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - a state is polled
            await asyncio.sleep(0.01)


async def test_a_sink_that_hangs_delays_no_other_and_sends_the_worst_and_the_newest_first() -> None:
    slow, quick = Gate("slow", is_open=False), Gate("quick")
    done: list[tuple[str, str]] = []
    delivery = Delivery([slow, quick], lambda note, outcome: done.append((note.key, outcome.sink)))
    delivery.start()
    low = replace(NOTE, key="low", severity=Severity.NOTICE)
    notes = [replace(low, key="first"), low, replace(low, text="newer"), replace(NOTE, key="high")]
    delivery.send("slow", notes[0])
    await until(lambda: slow.got)
    for note in notes[1:]:
        delivery.send("slow", note)
        delivery.send("quick", note)
    await until(lambda: ("high", "quick") in done)
    assert [key for key, sink in done if sink == "slow"] == []
    slow.opened.set()
    await until(lambda: delivery.idle)
    await delivery.stop()
    assert [(n.key, n.text == "newer") for n in slow.got] == [("first", False), ("high", False), ("low", True)]


async def test_a_sink_with_a_bug_fails_that_note_and_goes_on() -> None:
    gate, done = Gate("gate"), []
    delivery = Delivery([gate], lambda note, outcome: done.append((note.key, outcome.state)))
    delivery.start()
    delivery.send("gate", replace(NOTE, key="bug"))
    await until(lambda: done)
    delivery.send("gate", NOTE)
    await until(lambda: len(done) == 2)
    await delivery.stop()
    assert done == [("bug", "failed"), ("exit-ABC", "sent")]


async def test_stopping_does_not_wait_for_a_sink_that_hangs() -> None:
    gate = Gate("gate", is_open=False)
    delivery = Delivery([gate], lambda note, outcome: None)
    delivery.start()
    delivery.send("gate", NOTE)
    await until(lambda: gate.got)
    async with asyncio.timeout(60):
        await delivery.stop(grace_s=0.1)
