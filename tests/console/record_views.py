"""Records the views of a real week: ``python -m tests.console.record_views [--home DIR] [--set KEY=VALUE ...]``.

Starts the engine of a demo (embedded market, own home), goes through the week with the console's
own commands as an operator would, and keeps what the engine sends at named moments: each a
``Snapshot`` as JSON in ``tests/console/recorded``. The screens' pictures are drawn from these
files (``recorded_views.moment``). Takes about three minutes; nothing in it is made up. Only what
names the machine is replaced: the home folder, the engine's process id, the account.

Moments: ``empty`` (attached to a new home), ``training`` (in the middle of a cycle), ``search``
(the search at work), ``shortlist`` (the second day's list waits; the first day's is the one it
differs from), ``positions`` (held, and at least one closed where the day allows it),
``flattening`` and ``flat`` (after F12).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.client import VIEWS, EngineClient, EngineState
from app.demo import demo_options
from app.engine_process import wait_until_stopped
from app.headless import attached, command
from app.options import Options
from engine.home import Home
from engine.views import Snapshot

RECORDED = Path(__file__).parent / "recorded"
HOME, PID, ACCOUNT = "/home/op/tsh", 4242, "SIM-7F3A19"
EVENTS = 90  # the latest; as many as the largest terminal shows, and some to scroll
HELD = ("WATCH", "ARMED", "TARGET")


class Recorder:
    """Keeps the moments; each is taken once, the best of those that were offered."""

    def __init__(self, client: EngineClient, folder: Path, only: str = "") -> None:
        self._client, self._folder, self._only = client, folder, only
        self._rank: dict[str, float] = {}

    def keep(self, moment: str, rank: float = 0.0) -> None:
        """Writes what the engine says now, unless a moment of the same name ranked higher."""
        if (self._only and moment != self._only) or rank <= self._rank.get(moment, float("-inf")):
            return
        self._rank[moment] = rank
        snapshot = self._scrubbed(snapshot_of(self._client.state))
        text = snapshot.model_dump_json(exclude_defaults=True).replace(str(self._client.home.folder), HOME)
        if account := self._client.state.status.account:
            text = text.replace(account, ACCOUNT)
        (self._folder / f"{moment}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{moment}: {len(text):,} characters (rank {rank:g})", file=sys.stderr, flush=True)

    @staticmethod
    def _scrubbed(snapshot: Snapshot) -> Snapshot:
        pid = f"pid {snapshot.status.pid}"
        events = [
            event.model_copy(
                update={
                    "text": event.text.replace(pid, f"pid {PID}"),
                    "data": event.data | ({"pid": PID} if "pid" in event.data else {}),
                }
            )
            for event in snapshot.events
        ]
        status = snapshot.status.model_copy(update={"pid": PID})
        return snapshot.model_copy(update={"status": status, "events": tuple(events)})


def snapshot_of(state: EngineState) -> Snapshot:
    """What a console that attached now would be sent, with fewer events."""
    views = {name: getattr(state, name) for name in VIEWS}
    return Snapshot(seq=state.seq, events=tuple(state.events)[-EVENTS:], **views)


async def until(client: EngineClient, reached: Callable[[EngineState], object], seconds: float = 900.0) -> None:
    """Waits for news after which ``reached`` holds; TimeoutError when it never does."""
    async with asyncio.timeout(seconds):
        if reached(client.state):
            return
        async for _ in client.updates():
            if reached(client.state):
                return


def run_ended(run: str) -> Callable[[EngineState], bool]:
    return lambda state: any(
        event.kind == "run_finished" and event.data.get("run") == run for event in list(state.events)[-40:]
    )


async def weekend(client: EngineClient, recorder: Recorder) -> None:
    run = (await command(client, "weekend")).data["run"]
    ended = run_ended(run)

    def watch(state: EngineState) -> bool:
        training, search = state.training, state.groups
        done = sum(batch for day in training.batches for batch in day)
        share = training.cycle / training.cycles if training.cycles else 0.0
        if training.state == "running" and 0.5 < share < 0.9 and 0 < done < 20:
            recorder.keep("training", -abs(done - 11))
        if search.state == "running" and search.anchors and not search.proven:
            recorder.keep("search", min(search.elapsed_s, 0.4 * search.budget_s))
        return ended(state)

    await until(client, watch)


async def weekday(client: EngineClient, recorder: Recorder, *, second: bool) -> None:
    run = (await command(client, "weekday")).data["run"]
    await until(client, lambda state: state.shortlist.state == "pending")
    await asyncio.sleep(1.0)  # the overview follows a second later
    if second:
        recorder.keep("shortlist")
    shortlist = client.state.shortlist
    await command(client, "approve", {"session": str(shortlist.session), "list_hash": shortlist.list_hash})
    ended = run_ended(run)
    flattened: asyncio.Task[None] | None = None
    first_fill: float | None = None

    def watch(state: EngineState) -> bool:
        nonlocal flattened, first_fill
        rows = state.positions.rows
        held = sum(row.state in HELD for row in rows)
        armed = sum(row.state == "ARMED" for row in rows)
        closed = sum(row.state == "CLOSED" for row in rows)
        if held >= 2 and not any(row.stale or row.state == "ENTERING" for row in rows):
            recorder.keep("positions", min(closed, 1) * 4 + min(armed, 2) + held)
            first_fill = first_fill or time.monotonic()
        if second and held and flattened is None and first_fill and time.monotonic() - first_fill > 3.0:
            flattened = asyncio.create_task(flatten(client))
        if state.flatten.state == "running":
            recorder.keep("flattening", len(state.flatten.rows))
        return ended(state)

    await until(client, watch)
    if flattened is not None:
        await flattened


async def flatten(client: EngineClient) -> None:
    await command(client, "flatten")


async def record(options: Options, folder: Path, only: str) -> None:
    """The whole week, or as far as ``only`` needs; TimeoutError or RefusedError when something is refused."""
    try:
        async with attached(options, "record") as client:
            recorder = Recorder(client, folder, only)
            await until(client, lambda state: not state.status.kernels and state.status.market_time)
            await asyncio.sleep(2.0)
            recorder.keep("empty")
            await weekend(client, recorder)
            for second in () if only in ("empty", "training", "search") else (False, True):
                await weekday(client, recorder, second=second)
            if not only or only == "flat":
                await until(client, lambda state: state.flatten.state in ("flat", "failed"), 60.0)
                await asyncio.sleep(2.0)
                recorder.keep("flat")
            await command(client, "shutdown", {"force": True})
    finally:
        await asyncio.to_thread(wait_until_stopped, options.home)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--home", type=Path, help="a new folder for the demo (default: a temporary one, removed)")
    parser.add_argument("--out", type=Path, default=RECORDED)
    parser.add_argument("--only", default="", metavar="MOMENT", help="record this one alone")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    folder = given.home or Path(tempfile.mkdtemp(prefix="tsh-record-"))
    overrides = dict(item.split("=", 1) for item in given.set)
    options = demo_options(
        Options(Home(folder), as_json=True, overrides=overrides), home_given=True, market="synthetic", day=None,
        cycles=200, search_budget="60s", search_tests=None, seed=None, speed=300.0,
    )  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(record(options, given.out, given.only))
    finally:
        if given.home is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
