"""F12: sell everything. Live exposure before, a typed word to go, then every step until FLAT.

Opening it does nothing, Enter without the word does nothing, a second Enter does nothing;
closing it does not stop a flatten that runs, because the engine does the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from textual.app import ComposeResult
from textual.widgets import Input

from app import formatting as f
from app.client import Client, Link
from app.dialogs.frame import Dialog, Tick, Words
from app.silence import exposure_unknown, flatten_in_a_shell, old_since
from app.widgets.box import EMPTY, Line, fitted, joined, plain
from engine.control import Answer
from engine.views import FlattenRow, FlattenView

WORD = "FLATTEN"
FIRST_WIDTH = 72  # cells inside the dialog on all but the widest terminals: as long as it has no layout
STEPS = ("1 stop entries", "2 cancel orders", "3 sell all", "4 verify flat, twice")
VERDICTS = {
    "running": ("NOT FLAT YET", "warn"),
    "queued": ("QUEUED for the next open", "warn"),
    "failed": ("FAILED", "alarm"),
    "flat": ("FLAT, confirmed by the broker", "accent"),
}

Send = Callable[[str, dict[str, Any]], Awaitable[Answer]]


class FlattenDialog(Dialog[None]):
    """``send`` carries the one command; everything else is read from the views."""

    HEADING = "FLATTEN EVERYTHING"

    def __init__(self, send: Send) -> None:
        super().__init__(id="flatten")
        self._send = send
        self._sent = False  # at most one command until it is answered, or has failed
        self._refused = ""
        self._seen_running = False
        self._since: datetime | None = None  # UTC; a flatten that began earlier is not the answer to ours
        self._known: dict[str, FlattenRow] = {}  # every symbol of this run, also those that are gone

    def body(self) -> ComposeResult:
        yield Words(id="exposure")
        yield Words([plain("  ".join(STEPS), "dim")], id="steps")
        yield Tick("also what other programs opened", id="foreign")
        yield Words(
            [(("type ", "text"), (WORD, "strong"), (" and Enter to go, Esc to go back", "text"))], id="ask"
        )
        yield Input(id="word", compact=True)
        yield Words(id="progress")

    def on_mount(self) -> None:
        self.query_one("#foreign").display = False
        self.query_one("#progress").display = False
        self.query_one("#word").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._sent:
            return
        if event.value.strip() != WORD:
            event.input.value = ""  # the word typed next must not be glued to the wrong one
            self.query_one("#ask", Words).say(
                [(("nothing was sent: type ", "warn"), (WORD, "strong"), (" in capitals, Esc to go back", "warn"))]
            )
            return
        self._sent = True
        self._refused = ""
        self.query_one("#word", Input).disabled = True
        everything = self.query_one("#foreign", Tick).value
        self.run_worker(self._go(everything), exit_on_error=False)

    async def _go(self, include_foreign: bool) -> None:
        answer = await self._send("flatten", {"include_foreign": include_foreign})
        if answer.accepted:
            since = answer.data.get("since")
            self._since = datetime.fromisoformat(since) if since is not None else None
        else:
            self._refused = answer.reason
            self._ask_again()

    def paint(self, client: Client) -> None:
        flatten, status = client.state.flatten, client.state.status
        state = self._answer(flatten)
        running = state in ("running", "queued")
        self._seen_running = self._seen_running or running
        if running or state == "failed":
            self._known |= {row.symbol: row for row in flatten.rows}
        if self._sent and state == "failed":
            self._ask_again()
        over = state == "flat" and self._seen_running
        asking = not self._sent and not running and not over
        self.query_one("#exposure", Words).say(self._exposure(client))
        foreign = self.query_one("#foreign", Tick)
        foreign.display = bool(flatten.foreign) and asking
        if flatten.foreign:
            foreign.label = f"also what other programs opened: {' '.join(flatten.foreign)}"
        self.query_one("#word").display = asking
        self.query_one("#ask").display = asking
        width = max(20, self.query_one("#steps").size.width or FIRST_WIDTH)
        progress: list[Line] = []
        if self._refused:
            progress.extend(plain(piece, "alarm") for piece in f.wrapped(f"refused: {self._refused}", width, 5))
        instead = flatten_in_a_shell(client)
        progress.extend(plain(piece, "alarm") for piece in f.wrapped(instead, width))
        if not asking or state == "failed":
            progress.extend(self._progress(flatten, state, width, told=client.link is Link.LIVE))
            if status.latched:
                progress.append(plain("entries stay latched off until someone allows them again", "dim"))
        self.query_one("#progress", Words).say(progress)

    def _answer(self, flatten: FlattenView) -> str:
        """The state that answers what was asked here: an end that is older than our asking does not."""
        began, since = flatten.begun_at, self._since
        ours = began is not None and since is not None and began >= since
        if self._sent and not ours and flatten.state in ("flat", "failed", "idle"):
            return "asked"
        if self._sent and ours:
            self._seen_running = True
        return flatten.state

    def _ask_again(self) -> None:
        """The word may be typed again: after a refusal, and after a flatten that has failed."""
        self._sent = False
        box = self.query_one("#word", Input)
        box.disabled = False
        box.value = ""
        box.display = True  # what is not displayed takes no focus
        box.focus()

    @staticmethod
    def _exposure(client: Client) -> Sequence[Line]:
        flatten, status = client.state.flatten, client.state.status
        unknown = exposure_unknown(client)
        if unknown:
            return [plain(unknown, "warn")]
        positions = flatten.positions or status.positions_open
        orders = flatten.orders or status.orders_open
        exposure = flatten.exposure if flatten.exposure is not None else status.exposure
        market = "open" if status.market_open else "CLOSED"
        cost = (
            f"≈ {f.money(flatten.expected_cost)} $ (half the spread)" if flatten.expected_cost is not None else ""
        )
        first = joined(
            [
                ((f"{positions}", "strong"), (" positions", "dim")),
                ((f.money(exposure), "strong"), (" $", "dim")),
                ((f"{orders}", "strong"), (" open orders", "dim")),
                (("market ", "dim"), (market, "strong")),
            ],
            "   ",
        )
        account = f"{status.mode.upper()} account {status.account}".rstrip()
        old = plain(old_since(client), "warn")
        second = joined([plain(account, "strong"), plain(f"expected cost {cost}" if cost else "", "dim")], "   ")
        waits = positions and not status.market_open
        return [
            first,
            second,
            *([old] if old else []),
            *([plain("sells wait for the next open", "warn")] if waits else []),
        ]

    def _progress(self, flatten: FlattenView, state: str, width: int, *, told: bool) -> list[Line]:
        word, ink = VERDICTS.get(state, ("asked, waiting for the engine …", "dim"))
        head = joined([plain(word, ink), plain(flatten.step if state in VERDICTS else "", "text")], "   ")
        if state == "running" and flatten.confirmations:
            head = joined([head, plain(f"confirmed {flatten.confirmations} of 2", "dim")], "   ")
        lines: list[Line] = [head]
        held = {row.symbol for row in flatten.rows}
        for row in self._known.values():
            if row.symbol not in held:
                said = "gone from the account ✓" if flatten.looked else "not known yet: the broker was not asked"
                row = row.model_copy(update={"step": said})
            shares = f"{row.shares:,}" if row.shares else ""
            lines.append(
                fitted(
                    (
                        (f.fit(row.symbol, 7), "strong"),
                        (f.fit(shares, 7, right=True), "text"),
                        ("  ", "text"),
                        (row.step, "warn" if "reject" in row.step.lower() else "text"),
                    ),
                    width,
                )
            )
        closing = {
            "flat": "Esc closes this window",
            "failed": "the engine has given up: type the word to go again",
        }.get(state, "Esc closes this window; the engine goes on until FLAT")
        return [*lines, EMPTY, plain(closing if told else "as last told; Esc closes this window", "dim")]
