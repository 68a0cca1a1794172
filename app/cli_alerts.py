"""Commands about alerts: a test of every sink, the list, the acknowledgement, and the doctor's lines."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from app.engine_process import engine_runs
from app.headless import attached, command, told
from app.options import Options, print_json, say
from engine.alerts.alert import Severity, Topic
from engine.alerts.in_force import ladder_words, open_sinks, quiet_words
from engine.alerts.sink import Note
from engine.errors import EXIT_DONE, EXIT_FAILED, OperatorError
from engine.settings import Settings
from engine.views import AlertView

TEST_TIMEOUT_S = 300.0  # a webhook may use up all its tries


async def test_sinks(options: Options) -> int:
    """Through the running engine, as a real alert would go; without one from here, with the same settings."""
    running = engine_runs(options.home)
    outcomes = await (_by_engine(options) if running else _from_here(options))
    if options.as_json:
        print_json({"engine": running, "outcomes": outcomes})
    else:
        if not running:
            say("no engine runs on this home: the test was sent from here, no console was told")
        _print_outcomes(outcomes)
    return EXIT_FAILED if any(outcome["state"] == "failed" for outcome in outcomes) else EXIT_DONE


async def _by_engine(options: Options) -> list[dict[str, Any]]:
    async with attached(options, start=False) as client:
        answer = await client.command("alerts_test", timeout_s=TEST_TIMEOUT_S)
    if not answer.accepted:
        raise OperatorError(f"the engine did not test its alerts: {answer.reason}")
    return list(answer.data["outcomes"])


async def _from_here(options: Options) -> list[dict[str, Any]]:
    settings = options.settings().settings
    now = datetime.now(UTC)
    note = Note(
        key="alert-test",
        what="test",
        severity=Severity.NOTICE,
        topic=Topic.TEST,
        text="test of the alerts, asked for by tshc",
        count=1,
        opened_at=now,
        at=now,
        mode=settings.broker.mode.value,
        home=options.home.folder.name,
        number=1,
    )
    sinks = open_sinks(settings, consoles=lambda: 0)
    try:
        outcomes = await asyncio.gather(*(sink.send(note) for sink in sinks))
    finally:
        for sink in sinks:
            await sink.close()
    return [asdict(outcome) for outcome in outcomes]


def _print_outcomes(outcomes: list[dict[str, Any]]) -> None:
    table = Table(box=None, show_header=False)
    glyphs = {"sent": "✓", "failed": "✗"}
    for outcome in outcomes:
        table.add_row(glyphs.get(outcome["state"], "·"), outcome["sink"], outcome["state"], outcome["detail"])
    Console().print(table, highlight=False, markup=False)


async def list_alerts(options: Options) -> int:
    alerts = await _alerts(options)
    if options.as_json:
        print_json([alert.model_dump(mode="json") for alert in alerts])
        return EXIT_DONE
    if not alerts:
        print("no alerts")
        return EXIT_DONE
    table = Table(box=None)
    for column in ("key", "severity", "times", "state", "what"):
        table.add_column(column, overflow="fold", justify="right" if column == "times" else "left")
    for alert in sorted(alerts, key=lambda a: not a.waiting):
        state = "over" if alert.over else "seen" if alert.acknowledged else "WAITS"
        table.add_row(alert.key, alert.severity, str(alert.count), state, alert.text)
    Console().print(table, highlight=False, markup=False)
    return EXIT_DONE


async def acknowledge(options: Options, key: str | None) -> int:
    """One alert, or all that wait."""
    async with attached(options, start=False) as client:
        waiting = [alert.key for alert in client.state.overview.alerts if alert.waiting]
        for chosen in waiting if key is None else [key]:
            await command(client, "acknowledge", {"key": chosen})
            print(f"acknowledged: {chosen}")
        if key is None and not waiting:
            print("no alert waits to be acknowledged")
    return EXIT_DONE


async def _alerts(options: Options) -> tuple[AlertView, ...]:
    """From the engine's first views; they are there within moments of its start."""
    async with attached(options, start=False) as client:
        await told(client)
        return client.state.overview.alerts


def alert_checks(settings: Settings) -> list[tuple[str, bool, str]]:
    """The doctor's lines: every sink, the ladders, the quiet hours."""
    checks = []
    for sink in open_sinks(settings, consoles=lambda: 0):
        words = sink.in_force()
        checks.append((f"alerts: {sink.name}", not words.startswith("NOT USABLE"), words or "not configured"))
    checks += [(f"alerts: {severity}", True, words) for severity, words in ladder_words(settings.alerts)]
    checks.append(("alerts: quiet hours", True, quiet_words(settings.alerts)))
    return checks
