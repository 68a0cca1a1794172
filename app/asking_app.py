"""What the console asks before it sends, and how it sends: every question shows, live, what would happen.

A question opens once, with its focus on the way back; a read-only console opens none. What
moves money on a live account asks for a typed word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app import formatting as f
from app.client import Client, Link
from app.dialogs.approval import approval_lines
from app.dialogs.confirm import ConfirmDialog, room_for_words
from app.dialogs.weekday import day_question
from app.freezing_app import FreezingApp
from app.silence import account_words, exposure_unknown, positions_now
from app.widgets.box import Line, joined, plain
from app.widgets.positions_panels import GONE


class AskingApp(FreezingApp):
    """Commands and their questions; ``client`` is set by the console."""

    def say(self, text: str, *, wrong: bool = False) -> None:
        """One line at the bottom, for a while."""
        self.notify(text, severity="warning" if wrong else "information", timeout=8 if wrong else 4, markup=False)

    def send(self, command: str, arguments: dict[str, Any] | None = None, *, done: str) -> None:
        """Sends a command from a worker; its answer is said at the bottom."""
        self.run_worker(self._send(command, arguments or {}, done), exit_on_error=False, name=command)

    async def _send(self, command: str, arguments: dict[str, Any], done: str) -> None:
        answer = await self.client.command(command, arguments)
        if answer.accepted:
            self.say(answer.reason or done)
        else:
            self.say(f"refused: {answer.reason}", wrong=True)

    def may_command(self) -> bool:
        """False, with the reason said, for a read-only console: it must not even open the dialogs."""
        if self.client.read_only:
            self.say("refused: this console is read-only; open one that may command with 'tshc'", wrong=True)
        return not self.client.read_only

    def _ask(self, dialog: ConfirmDialog, then: Callable[[], None]) -> None:
        """Opens a question once; a key pressed twice does not stack two of it."""
        if not self.may_command() or isinstance(self.screen, ConfirmDialog):
            return

        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self.push_screen(dialog, answered)

    def pause_or_resume(self, work: str, state: str) -> None:
        """``work`` is ``training`` or ``search``."""
        if not self.sees_the_present():
            return
        if state == "paused":
            self.send(f"{work}_resume", done=f"{work} goes on")
        else:
            self.send(f"{work}_pause", done=f"{work} pauses; its state is kept")

    def stop_work(self, work: str, consequence: str) -> None:
        if not self.may_command():
            return
        state = self.client.state.training.state if work == "training" else self.client.state.groups.state
        if state not in ("running", "paused"):
            self.say(f"no {work} is under way: there is nothing to stop", wrong=True)
            return
        dialog = ConfirmDialog(f"Stop the {work}?", [plain(consequence)], yes="Stop")
        self._ask(dialog, lambda: self.send(f"{work}_stop", done=f"{work} stops"))

    def ask_weekday(self) -> None:
        """Begins the market day; asks first on a live account, and where a day was run that is not over."""
        if not self.may_command():
            return

        def begin() -> None:
            self.send("weekday", done="the market day starts")

        said = day_question(self.client.state)
        if said:
            self._ask(ConfirmDialog("Run the market day?", said, yes="Run"), begin)
        elif self.sees_the_present():
            begin()

    def ask_exit(self, symbol: str) -> None:
        """Sell one position, shown live while the question stands."""

        def lines(client: Client) -> Sequence[Line]:
            row = next((r for r in positions_now(client).rows if r.symbol == symbol), None)
            if row is None or row.state in GONE:
                return [plain(f"{symbol} is closed already", "warn")]
            age = f.age(row.age_s, stale=row.stale)
            return [
                (
                    (f"sell {row.shares:,} {symbol}", "strong"),
                    (f"   last {f.price(row.last)} $ ({age})   P&L {f.money(row.pnl, signed=True)} $", "text"),
                ),
                plain("at the market, now; the other positions stay as they are", "dim"),
            ]

        dialog = ConfirmDialog(
            f"Sell {symbol} now?", lines(self.client), yes="Sell", word=self._live_word("SELL"), live=lines
        )
        self._ask(dialog, lambda: self.send("exit_position", {"symbol": symbol}, done=f"{symbol} is being sold"))

    def _live_word(self, word: str) -> str:
        """What moves money asks for a typed word on a live account, and on one not known; else a key is enough."""
        status = self.client.state.status
        return word if status.mode == "live" or not status.known else ""

    def ask_approval(self) -> None:
        """Approves exactly the list that the dialog showed: if another one came meanwhile, the engine refuses."""
        view = self.client.state.shortlist
        if view.state != "pending" or view.session is None:
            self.say(f"nothing waits for approval ({view.state})", wrong=True)
            return
        arguments: dict[str, Any] = {"session": view.session.isoformat(), "list_hash": view.list_hash}
        against = self.client.state.overview.grade.against
        if against:  # the word says so; the engine refuses a live account without it
            arguments["against_advice"] = True
        word = self._live_word("AGAINST" if against else "APPROVE")

        def lines(client: Client) -> Sequence[Line]:
            room = room_for_words(self.size, typed=bool(word))
            return approval_lines(view, client.state, room if client.link is Link.LIVE else room - 1)

        dialog = ConfirmDialog(
            "Approve AGAINST THE ADVICE?" if against else "Approve this trade list?",
            lines(self.client),
            yes="Approve",
            word=word,
            live=lines,
        )
        self._ask(dialog, lambda: self.send("approve", arguments, done="approved"))

    def ask_rejection(self) -> None:
        view = self.client.state.shortlist
        if view.state not in ("pending", "approved") or view.session is None:
            self.say(f"there is no list to reject ({view.state})", wrong=True)
            return
        arguments = {"session": view.session.isoformat(), "list_hash": view.list_hash}
        dialog = ConfirmDialog(
            "Reject this trade list?",
            [plain(f"{view.session:%A %d %B}: no trade that day."), plain("it cannot be taken back", "dim")],
            yes="Reject",
        )
        self._ask(dialog, lambda: self.send("reject", arguments, done="rejected: no trade"))

    def ask_swap(self, out: str, into: str) -> None:
        """Sends the swap; a list that is approved already asks first, because the approval ends with it."""
        view = self.client.state.shortlist
        if view.session is None or not self.may_command() or not self.sees_the_present():
            return
        arguments = {
            "session": view.session.isoformat(),
            "list_hash": view.list_hash,
            "out": out,
            "into": into,
        }

        def swap() -> None:
            self.send("swap", arguments, done=f"{into} takes the place of {out}; the list waits for approval")

        if view.state == "approved":
            said = [plain(f"{into} takes the place of {out}."), plain("the approval ends; approve again", "warn")]
            self._ask(ConfirmDialog("Swap in an approved list?", said, yes="Swap"), swap)
        else:
            swap()

    def ask_shutdown(self) -> None:
        """Stops the engine: what it holds is shown live, because it would be managed by nobody."""

        def lines(client: Client) -> Sequence[Line]:
            said = [plain(f"the engine of {client.home.folder} ends: no streams, no stages, no exits")]
            held = client.state.status.positions_open
            if held or exposure_unknown(client):
                said.append(self._exposure(client))
            if held:
                said.append(
                    plain(f"{held} open positions would be managed by NOBODY until it runs again", "alarm")
                )
            return said

        word = "STOP" if self.client.state.status.positions_open else ""
        arguments = {"force": True} if word else {}  # the typed word is the force
        dialog = ConfirmDialog("Stop the engine?", lines(self.client), yes="Stop it", word=word, live=lines)
        self._ask(dialog, lambda: self.send("shutdown", arguments, done="the engine stops"))

    @staticmethod
    def _exposure(client: Client) -> Line:
        """What is in the market now."""
        status, unknown = client.state.status, exposure_unknown(client)
        if unknown:
            return plain(unknown, "warn")
        return joined(
            [
                ((f"{status.positions_open}", "strong"), (" positions", "dim")),
                ((f.money(status.exposure), "strong"), (" $", "dim")),
                (("day ", "dim"), (f"{f.money(status.day_pnl, signed=True)} $", "text")),
                plain(account_words(status), "strong"),
            ],
            "   ",
        )

    def action_unlatch(self) -> None:
        if exposure_unknown(self.client):
            self.say("whether entries are latched off is not known: no engine has told it", wrong=True)
            return
        if not self.client.state.status.latched:
            self.say("entries are not latched off")
            return
        self.ask_unlatch()

    def ask_unlatch(self) -> None:
        """Lets entries in again; shows why they are off and what is in the market, live."""

        def lines(client: Client) -> Sequence[Line]:
            return [
                (("latched: ", "dim"), (client.state.status.latched or "no", "strong")),
                self._exposure(client),
                plain("new entries are possible again", "dim"),
            ]

        word = self._live_word("UNLATCH")
        dialog = ConfirmDialog("Allow entries again?", lines(self.client), yes="Allow", word=word, live=lines)
        self._ask(dialog, lambda: self.send("unlatch", done="entries allowed again"))

    def acknowledge_all(self) -> None:
        waiting = [a for a in self.client.state.overview.alerts if a.waiting]
        if not waiting:
            self.say("no alert waits to be acknowledged")
        for alert in waiting:
            self.send("acknowledge", {"key": alert.key}, done="alert acknowledged")
