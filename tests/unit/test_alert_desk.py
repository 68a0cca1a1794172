"""The alert desk on a real bus and a real journal, with an injected clock and a real webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from webhook_server import WebhookServer, webhook_server

from engine.alerts.desk import TEST_KEY, AlertDesk
from engine.alerts.in_force import open_sinks
from engine.alerts.sink import Scrubber
from engine.event_bus import EventBus
from engine.events import AlertRaised, AlertRecovered, OrderChanged, PositionClosed, Reconciled
from engine.home import Home
from engine.journal import JournalDb
from engine.settings import Settings
from engine.view_board import ViewBoard
from engine.views import AlertView, PositionRow, PositionsView, StatusView

BEGIN = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - a state is polled as it is
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


@dataclass
class Clock:
    """Wall and monotonic time as the test says."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Room:
    """What a running engine gives the alert desk."""

    home: Home
    journal: JournalDb
    bus: EventBus
    desk: AlertDesk
    board: ViewBoard
    clock: Clock
    server: WebhookServer
    consoles: list[int] = field(default_factory=lambda: [0])
    looks: list[None] = field(default_factory=list)  # one for each time that the desk has looked around

    async def looked(self) -> None:
        """The desk has looked at the present moment, from its beginning to its end."""
        seen = len(self.looks)
        await until(lambda: len(self.looks) >= seen + 2, "a look of the desk")

    def alert(self, key: str) -> AlertView | None:
        return next((alert for alert in self.board.overview.alerts if alert.key == key), None)

    def told(self, key: str) -> list[str]:
        return [body["alert"]["state"] for body in self.server.bodies if body["alert"]["key"] == key]

    def hold(self, *rows: PositionRow, market_open: bool = True) -> None:
        self.board.positions = PositionsView(rows=rows)
        self.board.status = self.board.status.model_copy(update={"market_open": market_open})

    async def kinds(self) -> list[str]:
        await self.bus._queue.join()
        return [event.kind for event in await self.journal.last_events(1000)]


@asynccontextmanager
async def engine(
    home: Home, server: WebhookServer, clock: Clock, *, killed: bool = False, **alerts: object
) -> AsyncIterator[Room]:
    """One life of an engine; ``killed`` ends it without a farewell."""
    defaults: dict[str, object] = {
        "webhook_url": server.url,
        "critical": "desktop+sound+webhook",
        "disk_free_mb": 1,
    }
    settings = Settings.model_validate({"alerts": defaults | alerts})
    journal = await JournalDb.open(home.journal)
    board = ViewBoard()
    live = {"state": "live"}
    board.status = StatusView.model_validate({"pid": 1, "broker": live, "prices": live, "orders": live})
    bus = EventBus(journal, lambda: None)
    consoles = [0]
    desk = AlertDesk(
        settings.alerts,
        journal,
        bus,
        board,
        home,
        open_sinks(settings, lambda: consoles[0]),
        mode="sim",
        scrub=Scrubber(("very-secret-key",)),
        journal_problem=lambda: bus.failed,
        now=clock.now,
        monotonic=clock.monotonic,
        look_s=0.02,
    )
    looks: list[None] = []
    look = desk._look

    async def counted() -> None:
        await look()
        looks.append(None)

    desk._look = counted  # type: ignore[method-assign]
    await desk.restore()
    bus.on_alarm(desk.take)
    bus.start()
    desk.start()
    try:
        yield Room(home, journal, bus, desk, board, clock, server, consoles, looks)
    finally:
        if killed:
            tasks = [*desk._tasks, *desk._tests, *desk._delivery._workers, bus._writer]
            for task in tasks:
                assert task is not None
                task.cancel()
            await asyncio.gather(*(t for t in tasks if t is not None), return_exceptions=True)
            for sink in desk._delivery.sinks.values():
                await sink.close()
        else:
            await desk.stop()
            await bus.stop()
        await journal.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def position(state: str = "WATCH", stop: Decimal | None = None) -> PositionRow:
    return PositionRow(symbol="ABC", shares=100, state=state, resting_stop=stop)


async def test_an_unprotected_position_reaches_the_webhook_and_says_when_it_is_over(home: Home) -> None:
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        room.hold(position())
        await until(lambda: room.board.overview.alerts, "the news that the engine has positions at its start")
        room.clock.seconds = 14
        await room.looked()
        assert room.alert("unprotected-ABC") is None
        room.clock.seconds = 16
        await until(lambda: room.told("unprotected-ABC") == ["raised"], "the alert")
        room.hold(position(stop=Decimal("9.5")))
        room.clock.seconds = 18
        await room.looked()
        room.clock.seconds = 25
        await until(lambda: room.told("unprotected-ABC") == ["raised", "recovered"], "the end")
        alert = room.alert("unprotected-ABC")
        assert alert is not None
        assert alert.over
        kinds = await room.kinds()
        assert kinds.count("alert_raised") == 2  # the restart with positions is one, too
        assert kinds.count("alert_recovered") == 1


async def test_the_same_alert_again_is_one_line_in_the_journal_and_a_count_on_the_screen(home: Home) -> None:
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        for number in range(30):
            room.bus.publish(AlertRaised(key="exit-ABC", message=f"refusal {number}"))
        await until(lambda: room.told("exit-ABC"), "the first telling")
        alert = room.alert("exit-ABC")
        assert alert is not None
        assert (alert.count, alert.text, alert.rings) == (30, "refusal 29", 1)
        assert (await room.kinds()).count("alert_raised") == 1
    assert room.told("exit-ABC") == ["raised"]


async def test_acknowledgements_survive_a_kill_and_a_restart(home: Home) -> None:
    clock = Clock()
    async with webhook_server() as server:
        async with engine(home, server, clock, killed=True) as room:
            room.bus.publish(AlertRaised(key="unprotected-ABC", message="words", holds=True))
            room.bus.publish(AlertRaised(key="carried-ABC-1", message="other words"))
            await until(lambda: len(server.got) == 2, "both alerts")
            assert await room.desk.acknowledge("unprotected-ABC", "anna") == ""
        clock.seconds = 130
        async with engine(home, server, clock, killed=True) as room:
            first = room.alert("unprotected-ABC")
            assert first is not None
            assert first.acknowledged
            await until(lambda: room.told("carried-ABC-1") == ["raised", "repeated"], "the one nobody has seen")
            assert room.told("unprotected-ABC")[:1] == ["raised"]
            assert "repeated" not in room.told("unprotected-ABC")
            assert await room.desk.acknowledge("carried-ABC-1", "anna") == ""
        clock.seconds = 1000
        async with engine(home, server, clock) as room:
            carried = room.alert("carried-ABC-1")
            assert carried is not None
            assert carried.acknowledged
            assert not carried.waiting


async def test_what_was_wrong_before_a_restart_and_is_right_after_it_is_over(home: Home) -> None:
    clock = Clock()
    async with webhook_server() as server:
        async with engine(home, server, clock, killed=True) as room:
            room.bus.publish(Reconciled(clean=False, open_orders=0, positions=0, detail="ABC: 100 and 90"))
            await room.looked()
            clock.seconds = 20
            await until(lambda: room.alert("reconcile"), "the drift")
            await until(lambda: room.desk._saved, "the kept book")
        async with engine(home, server, clock) as room:
            await room.looked()
            clock.seconds = 30
            await until(lambda: (a := room.alert("reconcile")) is not None and a.over, "its end")


async def test_a_refused_exit_is_told_and_the_sale_ends_it(home: Home) -> None:
    refused = OrderChanged(
        symbol="ABC",
        client_order_id="tsh-1a2b3c4d-20261123-ABC-exit-1",
        status="rejected",
        filled_shares=0,
        average_price=None,
        detail="key very-secret-key is not allowed",
    )
    sold = PositionClosed(
        symbol="ABC", shares=100, entry=Decimal(10), exit=Decimal(11), pnl=Decimal(100), reason="TARGET"
    )
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        room.hold(position("EXITING"))
        room.bus.publish(refused)
        await until(lambda: room.told("exit-ABC") == ["raised"], "the refusal")
        await room.looked()  # it is being sold meanwhile, and not for long enough to say anything else
        selling = room.alert("exit-ABC")
        assert selling is not None
        assert "the exit was refused" in selling.text
        room.bus.publish(sold)
        await until(lambda: room.told("exit-ABC") == ["raised", "recovered"], "the end")
        await room.kinds()  # all of it is in the journal
        wanted = ("order_changed", "alert_raised", "position_closed", "alert_recovered")
        events = [e for e in await room.journal.last_events(1000) if e.data.get("key") != "restarted"]
        alerts = [event.kind for event in events if event.kind in wanted]
        assert alerts == list(wanted)
    assert b"very-secret-key" not in b"".join(body for _, body in server.got)
    messages = [body["alert"]["message"] for body in server.bodies if body["alert"]["key"] == "exit-ABC"]
    assert messages == ["ABC: the exit was refused: key *** is not allowed", "ABC is sold (TARGET)"]


async def test_a_journal_that_cannot_be_written_silences_no_alert(home: Home) -> None:
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        await room.journal.rows("PRAGMA query_only = ON")  # from here on every write fails
        room.bus.publish(AlertRaised(key="carried-ABC-1", message="words"))
        await until(lambda: room.told("carried-ABC-1"), "an alert that the journal could not take")
        await until(lambda: room.told("journal"), "the journal's own alert")
        problem = await room.desk.acknowledge("carried-ABC-1", "anna")
        assert "not over a restart" in problem
        await room.journal.rows("PRAGMA query_only = OFF")


async def test_a_webhook_that_is_down_delays_nothing_and_is_an_alert_of_its_own(home: Home) -> None:
    async with (
        webhook_server("slow", "slow", 200) as server,
        engine(home, server, Clock(), webhook_timeout_s=1.0, webhook_tries=1) as room,
    ):
        room.bus.publish(AlertRaised(key="carried-ABC-1", message="words"))
        alert = room.alert("carried-ABC-1")  # shown at once, whatever the webhook does
        assert alert is not None
        await until(lambda: room.alert("sink-webhook"), "the sink's alert")
        assert "alert_not_told" in await room.kinds()
        room.bus.publish(AlertRaised(key="carried-ABC-2", message="words"))
        await until(lambda: len(server.got) == 2, "the second try")
        room.bus.publish(AlertRaised(key="carried-ABC-3", message="words"))
        await until(lambda: "carried-ABC-3" in [b["alert"]["key"] for b in server.bodies], "an answer")
        await until(lambda: not room.desk._sinks_down, "the sink is known to work")
        await room.looked()
        room.clock.seconds = 10
        await until(lambda: (a := room.alert("sink-webhook")) is not None and a.over, "its end")
        assert "sink-webhook" not in [body["alert"]["key"] for body in server.bodies]


async def test_consoles_are_asked_to_ring_as_often_as_something_is_told(home: Home) -> None:
    async with webhook_server() as server, engine(home, server, Clock(), bell=True) as room:
        room.consoles[0] = 1
        room.bus.publish(AlertRaised(key="carried-ABC-1", message="words"))
        alert = room.alert("carried-ABC-1")
        assert alert is not None
        assert (alert.rings, alert.ring_notice, alert.ring_bell, alert.severity) == (1, True, True, "critical")
        room.clock.seconds = 121
        await until(lambda: (a := room.alert("carried-ABC-1")) is not None and a.rings == 2, "the repetition")
        room.bus.publish(AlertRecovered(key="carried-ABC-1", message="sold"))
        alert = room.alert("carried-ABC-1")
        assert alert is not None
        assert (alert.rings, alert.ring_bell, alert.over) == (3, False, True)


async def test_quiet_hours_hold_back_a_warning_and_not_an_exit(home: Home) -> None:
    async with (
        webhook_server() as server,
        engine(home, server, Clock(), quiet="14:30-16:00", quiet_zone="UTC", warning="webhook") as room,
    ):
        room.bus.publish(AlertRaised(key="weekend-failed", message="words"))
        room.bus.publish(AlertRaised(key="halt-ABC", message="ABC halted"))
        await until(lambda: room.told("halt-ABC"), "the halt of something held")
        room.clock.seconds = 3500
        await room.looked()
        assert room.told("weekend-failed") == []
        room.clock.seconds = 3601
        await until(lambda: room.told("weekend-failed") == ["raised"], "the warning after the quiet hours")


async def test_quiet_hours_never_hide_that_a_position_has_no_price(home: Home) -> None:
    async with (
        webhook_server() as server,
        engine(home, server, Clock(), quiet="14:30-16:00", quiet_zone="UTC", warning="webhook") as room,
    ):
        room.board.status = room.board.status.model_copy(update={"market_open": True})
        blind = position(stop=Decimal("9.5")).model_copy(update={"stale": True})
        room.board.positions = PositionsView(rows=(blind,))
        await room.looked()  # seen once
        assert room.told("stale-ABC") == []
        room.clock.seconds = 61
        await until(lambda: room.told("stale-ABC") == ["raised"], "the position without a price")


async def test_a_test_goes_to_every_sink_and_says_what_became_of_it(home: Home) -> None:
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        room.consoles[0] = 1
        outcomes = {o.sink: o for o in await room.desk.test("anna")}
        assert {name: o.state for name, o in outcomes.items()} == {
            "desktop": "sent",
            "sound": "sent",
            "webhook": "sent",
        }
        alert = room.alert(TEST_KEY)
        assert alert is not None
        assert alert.rings == 1
        server.answers = [404]
        again = {o.sink: o for o in await room.desk.test("anna")}
        assert again["webhook"].state == "failed"
        alert = room.alert(TEST_KEY)
        assert alert is not None
        assert alert.rings == 2
    assert [body["alert"]["state"] for body in server.bodies[:2]] == ["test", "test"]


async def test_a_damaged_book_in_the_journal_costs_the_book_and_not_the_engine(home: Home) -> None:
    async with webhook_server() as server:
        async with engine(home, server, Clock()) as room:
            await room.journal.put("alerts", [{"key": "half"}])
            room.desk._saved = room.desk._book.dump()
        async with engine(home, server, Clock()) as room:
            assert room.board.overview.alerts == ()


async def test_an_alert_that_fails_inside_reaches_no_publisher(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    async with webhook_server() as server, engine(home, server, Clock()) as room:
        room.bus.publish(AlertRaised(key="odd", message="words", severity="no such severity"))
        assert "the alerts failed at: words" in caplog.text
        assert "alert_raised" in await room.kinds()
