"""What a console (or the command line) may ask of the engine, and who answers.

Every command is checked here, journalled with its verdict, and answered: accepted, or
refused with the reason. Long work is started, not awaited; its end is an event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import Any

from pydantic import ValidationError

from engine.alerts.desk import AlertDesk
from engine.control import LOOKING, Answer, Caller
from engine.errors import OperatorError, RefusedError, UsageError
from engine.events import AlertRaised, CommandReceived
from engine.pipeline.approval import ApprovalDesk
from engine.pipeline.engine_room import EngineRoom
from engine.pipeline.report import last_reports
from engine.pipeline.weekday_cycle import WeekdayCycle
from engine.pipeline.weekend_cycle import WeekendCycle
from engine.settings import Settings

Handler = Callable[[dict[str, Any], Caller], Awaitable[Answer]]

# Arguments of the weekend command and the settings they stand for.
WEEKEND_SETTINGS = {
    "cycles": "training.cycles",
    "seed": "training.seed",
    "backend": "training.backend",
    "verify": "training.verify",
    "exhaustive": "training.exhaustive",
    "budget_s": "search.budget_s",
    "tests": "search.tests",
    "cluster": "search.cluster",
    "top_k": "search.top_k",
    "min_picks": "search.min_picks",
}

log = logging.getLogger(__name__)


class CommandTable:
    """The engine's answers. ``shutdown`` is called when a stop has been accepted."""

    def __init__(
        self, room: EngineRoom, alerts: AlertDesk, ready: Callable[[], str], shutdown: Callable[[str], None]
    ) -> None:
        self._room, self._alerts, self._ready, self._shutdown = room, alerts, ready, shutdown
        self.approvals = ApprovalDesk(room)
        self.weekday = WeekdayCycle(room, self.approvals)
        self.weekend = WeekendCycle(room)
        self._running: asyncio.Task[None] | None = None
        self._running_kind = ""
        self._opening = ""  # the kind of run that a command is about to begin
        self._background: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, Handler] = {
            "weekend": self._weekend,
            "weekday": self._weekday,
            "training_pause": lambda a, c: self._work("training", "pause"),
            "training_resume": lambda a, c: self._work("training", "resume"),
            "training_stop": lambda a, c: self._work("training", "stop"),
            "search_pause": lambda a, c: self._work("search", "pause"),
            "search_resume": lambda a, c: self._work("search", "resume"),
            "search_stop": lambda a, c: self._work("search", "stop"),
            "approve": self._approve,
            "reject": self._reject,
            "swap": self._swap,
            "exit_position": self._exit_position,
            "flatten": self._flatten,
            "unlatch": self._unlatch,
            "acknowledge": self._acknowledge,
            "alerts_test": self._alerts_test,
            "report": self._report,
            "status": self._status,
            "shutdown": self._stop,
        }

    async def execute(self, command: str, arguments: dict[str, Any], caller: Caller) -> Answer:
        """Runs one command; RefusedError and other OperatorErrors become refusals."""
        handler = self._handlers.get(command)
        if handler is None:
            return Answer(False, f"unknown command '{command}'; 'tshc --help' lists what the engine can do")
        try:
            answer = await handler(arguments, caller)
        except KeyError as error:
            answer = Answer(False, f"'{command}' needs {error.args[0]}")
        except OperatorError as error:
            answer = Answer(False, str(error))
        if command not in LOOKING:
            self._room.bus.publish(
                CommandReceived(
                    command=command,
                    arguments={**arguments, "from": caller.name},
                    accepted=answer.accepted,
                    reason=answer.reason if not answer.accepted else "",
                )
            )
        return answer

    # --- cycles ----------------------------------------------------------------------------

    @property
    def running(self) -> str:
        """``weekend`` or ``weekday`` while such a run is under way or about to begin, else ""."""
        if self._running is not None and not self._running.done():
            return self._running_kind
        return self._opening

    def resume_weekday(self) -> None:
        """Goes on with a weekday run that an earlier life of the engine left behind."""
        if not self.running:  # a console may have been quicker
            self._begin("weekday", self.weekday.resume())

    async def close(self) -> None:
        """Ends what runs between two units of work; all of it can be resumed."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        for task in self._background:
            task.cancel()

    def _begin(self, kind: str, cycle: Coroutine[Any, Any, tuple[str, str]]) -> None:
        self._running_kind = kind
        self._running = asyncio.create_task(self._guard(kind, cycle), name=f"{kind} run")

    async def _guard(self, kind: str, cycle: Coroutine[Any, Any, tuple[str, str]]) -> None:
        """Nobody awaits a run: its failure must become an alert, not a lost exception."""
        try:
            await cycle
        except OperatorError as error:
            self._room.bus.publish(AlertRaised(key=f"{kind}-failed", message=f"{kind} stopped: {error}"))
        except Exception as error:
            log.exception("the %s run failed", kind)
            message = f"{kind} stopped by an internal error ({error!r}); 'tshc engine logs' has the details"
            self._room.bus.publish(AlertRaised(key=f"{kind}-failed", message=message))

    @contextmanager
    def _slot(self, kind: str) -> Iterator[None]:
        """The only place for a run, taken before anything is awaited: of a double click one command gets it.

        RefusedError when it is taken. It is free again after the block unless a run was begun in it.
        """
        not_ready = self._ready()
        if not_ready:
            raise RefusedError(not_ready)
        if self.running:
            raise RefusedError(f"a {self.running} run is under way: wait for its end or stop it first")
        self._opening = kind
        try:
            yield
        finally:
            self._opening = ""

    async def _weekend(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        with self._slot("weekend"):
            settings = _with(self._room.settings, arguments)
            run, resumed = await self.weekend.open(settings, replace=bool(arguments.get("replace")))
            self._begin("weekend", self.weekend.run(run, settings, resumed=resumed))
        return Answer(True, data={"run": run.run, "resumed": resumed})

    async def _weekday(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        with self._slot("weekday"):
            dates = await self.weekday.dates()
            await self.weekday.selection(dates.session.day)
            self._begin("weekday", self.weekday.run())
        unfinished = await self._next_run("weekday")
        return Answer(
            True,
            data={
                "run": unfinished,
                "signal": dates.signal.day.isoformat(),
                "session": dates.session.day.isoformat(),
            },
        )

    async def _next_run(self, kind: str) -> str:
        """The id of the run that has just been begun (its row is written within moments)."""
        for _ in range(100):
            found = await self._room.journal.unfinished_run(kind)
            if found is not None:
                return found.run
            if self._running is not None and self._running.done():
                break
            await asyncio.sleep(0.05)
        raise OperatorError(f"the {kind} run did not begin; 'tshc engine logs' has the details")

    async def _work(self, what: str, verb: str) -> Answer:
        done = await self.weekend.command(what, verb)
        return Answer(done, "" if done else f"no {what} is under way")

    # --- the trade list --------------------------------------------------------------------

    async def _approve(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        text = await self.approvals.approve(
            _day(arguments),
            str(arguments["list_hash"]),
            caller.name,
            against_advice=arguments.get("against_advice") is True,
        )
        return Answer(True, data={"text": text})

    async def _reject(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        text = await self.approvals.reject(_day(arguments), str(arguments["list_hash"]), caller.name)
        return Answer(True, data={"text": text})

    async def _swap(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        text = await self.approvals.swap(
            _day(arguments),
            str(arguments["list_hash"]),
            str(arguments["out"]),
            str(arguments["into"]),
            caller.name,
        )
        return Answer(True, data={"text": text})

    # --- positions -------------------------------------------------------------------------

    async def _exit_position(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        await self._room.desk.exit_one(str(arguments["symbol"]), caller.name)
        return Answer(True)

    async def _flatten(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        """Accepted at once: the flatten view shows the steps; ``since`` tells its end from an earlier one's."""
        desk, include_foreign = self._room.desk, bool(arguments.get("include_foreign"))
        since = desk.flatten_answered_since(include_foreign)
        task = asyncio.create_task(desk.flatten(caller.name, include_foreign), name="flatten")
        self._background.add(task)
        task.add_done_callback(self._flatten_ended)
        await asyncio.sleep(0)
        return Answer(True, data={"since": since.isoformat()})

    def _flatten_ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        log.error("flatten failed", exc_info=task.exception())
        self._room.bus.publish(
            AlertRaised(key="flatten-failed", message=f"FLATTEN DID NOT FINISH: {task.exception()}")
        )

    async def _unlatch(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        await self._room.desk.unlatch(caller.name)
        return Answer(True)

    async def _acknowledge(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        """Answered when the acknowledgement is on disk."""
        problem = await self._alerts.acknowledge(str(arguments["key"]), caller.name)
        if not problem:
            await self._room.desk.drift.accept(str(arguments["key"]))
        return Answer(not problem, problem)

    async def _alerts_test(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        """By every sink, now; answered with what became of it at each."""
        outcomes = await self._alerts.test(caller.name)
        return Answer(True, data={"outcomes": [asdict(outcome) for outcome in outcomes]})

    # --- looking, stopping -----------------------------------------------------------------

    async def _report(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        account = await self._room.rest.account()
        money = {"equity": str(account.equity), "cash": str(account.cash), "day_pnl": str(account.day_pnl)}
        return Answer(True, data={**await last_reports(self._room.journal), "account": money})

    async def _status(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        return Answer(True, data=self._room.board.status.model_dump(mode="json"))

    async def _stop(self, arguments: dict[str, Any], caller: Caller) -> Answer:
        held = self._room.board.status.positions_open
        if held and not arguments.get("force"):
            raise RefusedError(
                f"{held} positions are managed by this engine: flatten first, or stop it with force "
                "(exits stop with it)"
            )
        self._shutdown(f"asked by {caller.name}")
        return Answer(True)


def _day(arguments: dict[str, Any]) -> date:
    try:
        return date.fromisoformat(str(arguments["session"]))
    except ValueError as error:
        raise UsageError(f"'{arguments['session']}' is not a session date (YYYY-MM-DD)") from error


def _with(settings: Settings, arguments: dict[str, Any]) -> Settings:
    """The settings with the weekend command's arguments on top, validated like any other layer."""
    values = settings.model_dump()
    for name, value in arguments.items():
        target = WEEKEND_SETTINGS.get(name)
        if target is None and name != "replace":
            raise UsageError(f"the weekend run has no option '{name}'")
        if target is not None and value is not None:
            section, key = target.split(".")
            values[section][key] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
