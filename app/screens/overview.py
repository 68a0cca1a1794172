"""1: the week at a glance - what was, what comes, the account, evidence, alerts, stages."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from app.client import EngineState, Link
from app.next_step import next_step
from app.screens.base import ConsoleScreen
from app.widgets.box import EMPTY
from app.widgets.overview_panels import (
    AccountPanel,
    AlertsTable,
    EvidencePanel,
    HealthPanel,
    NextPanel,
    RecentPanel,
    StagesPanel,
    WeekPanel,
)


class OverviewScreen(ConsoleScreen):
    MODE = "overview"
    KEYS = (
        ("k", "acknowledge the marked alert"),
        ("↑ ↓", "walk the alerts"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("k", "acknowledge", "acknowledge")]

    def content(self) -> ComposeResult:
        yield WeekPanel(id="week")
        with Container(id="cards"):
            yield NextPanel(id="next")
            yield AccountPanel(id="account")
            yield EvidencePanel(id="evidence")
        yield AlertsTable(id="alerts")
        with Container(id="machine"):
            yield HealthPanel(id="health")
            yield StagesPanel(id="stages")
        yield EvidencePanel(id="evidence-below")  # on narrow screens, instead of the card
        yield RecentPanel(id="recent")

    def show(self, state: EngineState) -> None:
        view, status = state.overview, state.status
        self.query_one(WeekPanel).show(view, status)
        client = self.console.client
        mine = EMPTY if client.read_only or client.link is not Link.LIVE else next_step(state)
        self.query_one(NextPanel).show(view, status, state.board, mine)
        self.query_one(AccountPanel).show(view, status)
        for panel in self.query(EvidencePanel):
            panel.show(view)
        self.query_one(AlertsTable).show_alerts(view.alerts)
        self.query_one(HealthPanel).show(view)
        self.query_one(StagesPanel).show(view)
        self.query_one(RecentPanel).show(state.events)

    def action_acknowledge(self) -> None:
        """The marked alert, or the only one that waits; of several none is taken that was not marked before."""
        if not self.console.sees_the_present():  # it may have got worse since the screen was frozen
            return
        table = self.query_one(AlertsTable)
        alert, waiting = table.current, [row for row in table.rows if row.waiting]
        if alert is None or not alert.waiting:
            if len(waiting) > 1:
                table.move_to(table.rows.index(waiting[0]))
                key = self.console.shown_keys["overview.acknowledge"]
                text = f"the marked alert was settled; {len(waiting)} wait, the first is marked now: {key} again"
                self.console.say(text)
                return
            alert = waiting[0] if waiting else None
        if alert is None:
            self.console.say("no alert waits to be acknowledged")
            return
        self.console.send("acknowledge", {"key": alert.key}, done="alert acknowledged")
