"""``tshc flatten``: through the engine when it answers, at the broker without it.

A module of its own because acting without the engine takes the broker's library along, half a second
of loading that the other commands are spared.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime

from app.client import EngineClient
from app.engine_process import engine_runs
from app.options import Options, print_json, say
from app.shell_words import runs_elsewhere
from engine.broker.account_kind import check_addresses, check_keys
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import load_credentials
from engine.broker.endpoints import Endpoints
from engine.config import load_broker_settings
from engine.errors import EXIT_DONE, EXIT_FAILED, OperatorError, RefusedError, UsageError
from engine.execution.flatten import flatten_without_engine
from engine.model import Mode
from engine.venue import known_simulator
from engine.views import FlattenView

ENGINE_ANSWERS_WITHIN_S = 2.0  # CONTRACTS: after that 'tshc flatten' acts by itself


async def flatten(options: Options, *, include_foreign: bool, yes: bool) -> int:
    """Through the engine when it answers within 2 s, else directly at the broker."""
    if not yes:
        _typed_word(options)
    if engine_runs(options.home):
        client = EngineClient(options.home, name="tshc flatten")
        async with client:
            try:
                await client.attached(ENGINE_ANSWERS_WITHIN_S)
                answer = await client.command(
                    "flatten", {"include_foreign": include_foreign}, timeout_s=ENGINE_ANSWERS_WITHIN_S
                )
                if answer.accepted:
                    since = datetime.fromisoformat(str(answer.data["since"]))
                    return await _watch_flatten(client, options, since)
                say(f"the engine did not take the flatten ({answer.reason}); acting without it")
            except OperatorError as error:
                say(f"{error}; acting without the engine")
    return await _flatten_directly(options, include_foreign)


def _typed_word(options: Options) -> None:
    if not sys.stdin.isatty():
        raise UsageError("flatten asks for a typed word: run it in a terminal, or give --yes")
    say(f"FLATTEN EVERYTHING of {options.home.folder}: entries off, orders cancelled, positions sold.")
    if input("type FLATTEN to go: ").strip() != "FLATTEN":
        raise RefusedError("not confirmed: nothing was done")


async def _watch_flatten(client: EngineClient, options: Options, since: datetime) -> int:
    """``since``: what began earlier is another flatten; its FLAT says nothing about now."""
    shown = ""
    while True:
        view = client.state.flatten
        if view.begun_at is None or view.begun_at < since:
            view = FlattenView()
        shown = _say_step(view, shown, options)
        if view.state in ("flat", "queued", "failed"):
            return _flatten_result(view, options)
        if client.silent_s > 10.0:
            raise OperatorError("the engine went silent during the flatten: run 'tshc flatten' again")
        await asyncio.sleep(0.1)


async def _flatten_directly(options: Options, include_foreign: bool) -> int:
    options.home.create()
    broker, wrong = load_broker_settings(options.home, options.all_overrides())
    if wrong:
        say(f"going on all the same, exits are never blocked: {wrong}")
    if broker.mode is Mode.SIM and not broker.trading_url:
        known = known_simulator(options.home)
        if known is None:
            raise OperatorError(
                f"nothing was sold: neither an engine nor a simulator runs on {options.home.folder}"
                + runs_elsewhere(options.home)
            )
        endpoints, keys = known[0], known[1]
    else:
        endpoints, keys = Endpoints.of_settings(broker), load_credentials()
        try:
            check_addresses(broker.mode, endpoints)
            check_keys(broker.mode, keys.key)
        except RefusedError as doubt:
            if include_foreign:
                raise  # what is not ours may be somebody's real money
            say(f"going on all the same, exits are never blocked: {doubt}")
    rest = AlpacaRest(broker, endpoints, keys)
    shown = ""

    def report(view: FlattenView) -> None:
        nonlocal shown
        shown = _say_step(view, shown, options)

    try:
        return _flatten_result(await flatten_without_engine(rest, options.home, include_foreign, report), options)
    finally:
        await rest.close()


def _say_step(view: FlattenView, shown: str, options: Options) -> str:
    rows = "  ".join(f"{row.symbol} {row.shares}: {row.step}" for row in view.rows)
    text = f"{view.state}: {view.step}" + (f"  [{rows}]" if rows else "")
    if text != shown and view.state != "idle" and not options.as_json:
        say(text)
    return text


def _flatten_result(view: FlattenView, options: Options) -> int:
    if options.as_json:
        print_json(view.model_dump(mode="json"))
    else:
        print(
            {"flat": "FLAT", "queued": "QUEUED FOR THE OPEN", "failed": "NOT FLAT"}[view.state] + f": {view.step}"
        )
    return EXIT_FAILED if view.state == "failed" else EXIT_DONE
