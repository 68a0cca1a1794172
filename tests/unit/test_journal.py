"""The journal: written before sent, never rewritten, and enough to resume."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_samples import child

from engine.errors import StorageError
from engine.events import AlertRaised, EngineStarted, FillReceived, Level
from engine.journal import IntentExistsError, JournalDb, LedgerEntry
from engine.orders_model import Approval, Fill, OrderIntent, OrderState, Side, client_order_id

MONDAY = date(2026, 11, 23)
AT = datetime(2026, 11, 23, 14, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def journal(tmp_path: Path):
    opened = await JournalDb.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


def intent(symbol: str = "ABC", leg: str = "entry", attempt: int = 1, session: date = MONDAY) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id("0a1b2c3d", session, symbol, leg, attempt),
        session=session,
        symbol=symbol,
        side="buy" if leg == "entry" else "sell",
        shares=25,
        kind="limit",
        limit_price=Decimal("10.10"),
        stop_price=None,
        time_in_force="day",
        leg=leg,
        attempt=attempt,
        why="approved, ask 10.09",
        at=AT,
    )


def order(filled: int = 0, status: str = "new", seconds: int = 0) -> OrderState:
    return OrderState(
        order_id="7c2c0b5e",
        client_order_id=intent().client_order_id,
        symbol="ABC",
        side="buy",
        kind="limit",
        shares=25,
        filled_shares=filled,
        average_price=Decimal("10.0833") if filled else None,
        limit_price=Decimal("10.10"),
        stop_price=None,
        status=status,
        submitted_at=AT,
        updated_at=AT + timedelta(seconds=seconds),
    )


def fill(execution: str, shares: int = 10, seconds: int = 0) -> Fill:
    return Fill(
        "7c2c0b5e", execution, intent().client_order_id, "ABC", "buy", shares, Decimal("10.0833"),
        AT + timedelta(seconds=seconds),
    )  # fmt: skip


# --- intents -----------------------------------------------------------------------------------


def test_the_same_order_always_has_the_same_client_id() -> None:
    assert client_order_id("0a1b2c3d", MONDAY, "BRK.B", "exit", 2) == "tsh-0a1b2c3d-20261123-BRK.B-exit-2"


_LOOKER = "import sqlite3; print(sqlite3.connect(sys.argv[1]).execute('SELECT * FROM intents').fetchone())"


async def test_an_intent_is_seen_by_another_process_when_record_intent_has_returned(journal: JournalDb) -> None:
    await journal.record_intent(intent())
    looker = child(_LOOKER, journal.path)
    seen = (await asyncio.to_thread(looker.communicate))[0].decode()
    assert "tsh-0a1b2c3d-20261123-ABC-entry-1" in seen
    assert "10.10" in seen


async def test_intents_come_back_as_they_were_in_the_order_they_were_meant(journal: JournalDb) -> None:
    meant = [intent("ZZZ"), intent("ABC"), replace(intent("ABC", "exit"), kind="market", limit_price=None)]
    for one in meant:
        await journal.record_intent(one)
    await journal.record_intent(intent("ABC", session=date(2026, 11, 24)))
    assert await journal.intents(MONDAY) == meant
    assert await journal.intent(meant[1].client_order_id) == meant[1]
    assert await journal.intent("tsh-unknown") is None
    assert await journal.last_intent("ABC") == intent("ABC", session=date(2026, 11, 24))
    assert await journal.last_intent("NONE") is None


async def test_an_id_can_be_meant_only_once(journal: JournalDb) -> None:
    await journal.record_intent(intent())
    with pytest.raises(IntentExistsError, match="nothing was sent"):
        await journal.record_intent(replace(intent(), shares=30))
    assert [i.shares for i in await journal.intents(MONDAY)] == [25]


@pytest.mark.parametrize("wrong", [{"shares": 0}, {"side": "short"}, {"limit_price": Decimal("NaN")}])
def test_an_intent_that_is_no_order_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ABC"):
        replace(intent(), **wrong)  # type: ignore[arg-type]


_SENDER = """
import asyncio, sys
from pathlib import Path
from engine.journal import JournalDb
from test_journal import intent

async def main():
    journal = await JournalDb.open(Path(sys.argv[1]))
    number = len(await journal.intents(intent().session))
    while True:
        number += 1
        await journal.record_intent(intent(attempt=number))
        print(number, flush=True)  # what was "sent"

asyncio.run(main())
"""


@pytest.mark.slow
async def test_whatever_was_sent_before_a_kill_is_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    total = 0
    for delay in (0.0, 0.013, 0.03):
        sender = child(_SENDER, path)
        assert sender.stdout is not None
        await asyncio.to_thread(sender.stdout.readline)
        await asyncio.sleep(delay)
        sender.kill()
        sent = sender.communicate()[0].decode().split()
        journal = await JournalDb.open(path)
        known = await journal.intents(MONDAY)
        await journal.close()
        total = len(known)
        assert total >= int(sent[-1] if sent else 1)
        assert [i.attempt for i in known] == list(range(1, total + 1))
    assert total > 2


# --- orders and fills --------------------------------------------------------------------------


async def test_an_order_only_moves_forward(journal: JournalDb) -> None:
    assert await journal.record_order(order(10, "partially_filled", 5))
    assert not await journal.record_order(order(0, "new", 9)), "a slow REST answer"
    assert await journal.record_order(order(10, "canceled", 6))
    assert not await journal.record_order(order(10, "pending_cancel", 9)), "terminal is terminal"
    assert await journal.record_order(order(25, "filled", 4)), "a fill is never lost"
    assert await journal.orders() == [order(25, "filled", 4)]
    assert await journal.orders([intent().client_order_id]) == [order(25, "filled", 4)]
    assert await journal.orders([]) == []


_states = st.builds(
    order,
    st.sampled_from([0, 10, 25]),
    st.sampled_from(["new", "partially_filled", "pending_cancel", "canceled", "filled", "expired"]),
    st.integers(0, 5),
)


@given(known=_states, told=_states)
def test_of_two_different_descriptions_exactly_one_is_later_or_they_are_equally_late(
    known: OrderState, told: OrderState
) -> None:
    if told.supersedes(known) and known.supersedes(told):
        assert (told.filled_shares, told.terminal, told.updated_at) == (
            known.filled_shares, known.terminal, known.updated_at,
        )  # fmt: skip
    else:
        assert told.supersedes(known) or known.supersedes(told)


async def test_an_execution_told_twice_is_one_fill(journal: JournalDb) -> None:
    await journal.record_intent(intent())
    assert await journal.record_fill(fill("e2", 15, seconds=1))
    assert await journal.record_fill(fill("e1", 10))
    assert not await journal.record_fill(fill("e1", 10))
    assert await journal.fills(MONDAY) == [fill("e1", 10), fill("e2", 15, seconds=1)]
    assert await journal.fills(date(2026, 11, 24)) == []


# --- events ------------------------------------------------------------------------------------


async def test_events_keep_their_order_numbers_and_both_clocks(journal: JournalDb) -> None:
    first = await journal.append(EngineStarted(mode="sim", account="PA1", pid=7), None)
    event = FillReceived(symbol="ABC", side="buy", shares=10, price=Decimal("10.10"), client_order_id="x")
    rest = await journal.append_all([event, AlertRaised(key="k", message="look")], AT)
    assert [first, *rest] == [1, 2, 3]
    seen = await journal.events_since(1)
    assert [(e.seq, e.kind, e.level) for e in seen] == [
        (2, "fill_received", "notice"),
        (3, "alert_raised", "alert"),
    ]
    assert seen[0].market_at == AT
    assert seen[0].data["price"] == "10.10"
    assert seen[0].text == event.text
    assert seen[0].at.tzinfo is not None
    assert [e.seq for e in await journal.last_events(2)] == [2, 3]
    assert [e.seq for e in await journal.events_since(0, limit=2)] == [1, 2]
    assert [e.seq for e in await journal.recent(["alert_raised", "engine_started"], 5)] == [1, 3]
    assert [e.seq for e in await journal.recent(["alert_raised", "engine_started"], 1)] == [3]
    assert await journal.recent([], 5) == []
    assert (await journal.last_events(1))[0].level == Level.ALERT


@pytest.mark.parametrize("table", ["events", "intents", "fills", "approvals", "selections"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid + 100"])
async def test_what_happened_cannot_be_rewritten_even_by_hand(
    journal: JournalDb, table: str, statement: str
) -> None:
    await journal.append(EngineStarted(mode="sim", account="PA1", pid=7), None)
    await journal.record_intent(intent())
    await journal.record_fill(fill("e1"))
    await journal.record_approval(_approval())
    await journal.freeze_selection(MONDAY, {})
    with (
        closing(sqlite3.connect(journal.path)) as shell,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        shell.execute(statement.format(table))


# --- approvals, selections, small state --------------------------------------------------------


def _approval(outcome: str = "approved", list_hash: str = "abc") -> Approval:
    return Approval(MONDAY, list_hash, "PA1", "sim", outcome, "operator", ("ABC", "XYZ"), AT)  # type: ignore[arg-type]


async def test_the_last_word_on_a_trade_list_counts(journal: JournalDb) -> None:
    assert await journal.approval(MONDAY) is None
    await journal.record_approval(_approval())
    await journal.record_approval(_approval("voided"))
    await journal.record_approval(_approval("approved", "def"))
    assert await journal.approval(MONDAY) == _approval("approved", "def")
    assert await journal.approval(date(2026, 11, 24)) is None


async def test_the_last_list_before_a_session_is_the_latest_earlier_one_that_was_decided(
    journal: JournalDb,
) -> None:
    tuesday = MONDAY + timedelta(days=1)
    assert await journal.last_list_before(MONDAY) is None
    await journal.record_approval(replace(_approval("rejected"), session=MONDAY - timedelta(days=3)))
    await journal.record_approval(_approval("approved"))
    await journal.record_approval(_approval("voided"))
    await journal.record_approval(replace(_approval("approved", "def"), symbols=("NEW",)))
    await journal.record_approval(replace(_approval("approved", "late"), session=tuesday))
    found = await journal.last_list_before(tuesday)
    assert found is not None
    assert (found.session, found.list_hash, found.symbols) == (MONDAY, "def", ("NEW",))
    earlier = await journal.last_list_before(MONDAY)
    assert earlier is not None
    assert earlier.outcome == "rejected"


async def test_a_selection_lives_from_its_day5_for_a_week(journal: JournalDb) -> None:
    friday = date(2026, 11, 20)
    await journal.freeze_selection(friday, {"first": ["adx"]})
    await journal.freeze_selection(friday, {"first": ["kelt"]})
    assert await journal.live_selection(friday - timedelta(days=1)) is None
    for days in (0, 3, 7):
        live = await journal.live_selection(friday + timedelta(days=days))
        assert live is not None
        assert (live.week, live.payload) == (friday, {"first": ["kelt"]})
    assert await journal.live_selection(friday + timedelta(days=10)) is None
    await journal.freeze_selection(friday + timedelta(days=7), {"first": ["rsi"]})
    later = await journal.live_selection(friday + timedelta(days=10))
    assert later is not None
    assert later.payload == {"first": ["rsi"]}


async def test_a_journal_from_before_the_grades_keeps_its_approvals_selections_and_ledger(tmp_path: Path) -> None:
    path, schema = tmp_path / "journal.db", JournalDb.SCHEMA
    with closing(sqlite3.connect(path)) as old, old:
        for statement in (sql for migration in schema.migrations[:4] for sql in migration):
            old.execute(statement)
        old.execute(
            "INSERT INTO approvals (session, list_hash, account, mode, outcome, by, symbols, at) "
            "VALUES ('2026-11-23', 'abc', 'PA1', 'live', 'approved', 'operator', '[\"ABC\"]', ?)",
            (AT.isoformat(),),
        )
        old.execute(
            "INSERT INTO selections (week, frozen_at, payload) VALUES ('2026-11-20', ?, '{}')", (AT.isoformat(),)
        )
        old.execute(
            "INSERT INTO ledger_candidates VALUES ('2026-11-23', 1, 'paper', '2026-11-20', 'rsi', '[]', '[]', 'x')"
        )
        old.execute("PRAGMA user_version = 4")
        old.execute(f"PRAGMA application_id = {schema.application_id}")
    journal = await JournalDb.open(path)
    approval = await journal.approval(MONDAY)
    assert approval is not None
    assert (approval.grade, approval.size, approval.against_advice) == ("", 1.0, False)
    assert [(s.market_at, s.source) for s in await journal.selections(date(2026, 11, 20))] == [(None, "")]
    [kept] = await journal.ledger_unjudged("paper", MONDAY, MONDAY)
    assert not kept.reconstructed
    await journal.close()


async def test_the_latch_and_the_flatten_state_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await JournalDb.open(path)
    assert await journal.latch() is None
    await journal.set_latch("loss limit of the day")
    await journal.put("flatten", {"step": "cancelling", "symbols": ["ABC"]})
    await journal.close()
    journal = await JournalDb.open(path)
    assert await journal.latch() == "loss limit of the day"
    assert await journal.get("flatten") == {"step": "cancelling", "symbols": ["ABC"]}
    await journal.set_latch(None)
    assert await journal.latch() is None
    assert await journal.get("unknown", "default") == "default"
    await journal.close()


async def test_ledger_entries_come_back_and_a_week_is_told_once_per_source(journal: JournalDb) -> None:
    entry = LedgerEntry(
        week=MONDAY, selected=1, source="sim", members="adx + kelt", sessions=5, candidates=87, pp_excess=0.04,
        pp_error=0.06, tsh_excess=-0.1, tsh_error=None, traded=20, traded_pp_excess=0.1, traded_tsh_excess=None,
        traded_live_excess=0.07, pp_to_live_gap=-0.03,
    )  # fmt: skip
    await journal.record_ledger_entry(replace(entry, candidates=1))
    await journal.record_ledger_entry(entry)
    await journal.record_ledger_entry(replace(entry, selected=2))
    assert await journal.ledger() == [entry, replace(entry, selected=2)]


# --- runs --------------------------------------------------------------------------------------


async def test_a_killed_run_is_found_again_at_its_first_unfinished_stage(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await JournalDb.open(path)
    run = await journal.begin_run("weekend", {"cycles": 200})
    assert run.run == "weekend-1"
    await journal.begin_stage(run.run, "weekly_5d_data", "d1")
    await journal.finish_stage(run.run, "weekly_5d_data", "1000 of 2990")
    await journal.begin_stage(run.run, "mp1_loop", "d2")
    await journal.set_stage_progress(run.run, "mp1_loop", {"cycle": 83})
    await journal.close()  # the engine died

    journal = await JournalDb.open(path)
    found = await journal.unfinished_run("weekend")
    assert found == run
    assert await journal.unfinished_run("weekday") is None
    assert [(s.stage, s.state, s.note) for s in await journal.stages(run.run)] == [
        ("weekly_5d_data", "done", "1000 of 2990"),
        ("mp1_loop", "running", ""),
    ]
    again = await journal.begin_stage(run.run, "mp1_loop", "d2")
    assert (again.attempts, again.progress) == (2, {"cycle": 83})
    await journal.fail_stage(run.run, "mp1_loop", "no space left")
    failed = await journal.stage_state(run.run, "mp1_loop")
    assert failed is not None
    assert (failed.state, failed.note, failed.progress) == ("failed", "no space left", {"cycle": 83})
    other_inputs = await journal.begin_stage(run.run, "mp1_loop", "d3")
    assert (other_inputs.attempts, other_inputs.progress) == (3, {})
    await journal.close()


async def test_two_runs_of_a_kind_cannot_overlap(journal: JournalDb) -> None:
    run = await journal.begin_run("weekend")
    with pytest.raises(StorageError, match="weekend-1 is unfinished"):
        await journal.begin_run("weekend")
    await journal.begin_run("weekday")
    await journal.finish_run(run.run, "abandoned", "replaced")
    assert (await journal.begin_run("weekend")).run == "weekend-2"
    last = await journal.last_run("weekend")
    assert last is not None
    assert last.state == "running"


async def test_a_stage_that_never_began_cannot_end(journal: JournalDb) -> None:
    run = await journal.begin_run("weekend")
    assert await journal.stage_state(run.run, "mp1_loop") is None
    assert await journal.stage_progress(run.run, "mp1_loop") == {}
    with pytest.raises(ValueError, match="never begun"):
        await journal.finish_stage(run.run, "mp1_loop")
    with pytest.raises(sqlite3.IntegrityError):
        await journal.begin_stage("weekend-99", "mp1_loop")


async def test_a_restart_reads_the_intents_and_fills_of_the_last_days_in_one_question(journal: JournalDb) -> None:
    days = [MONDAY - timedelta(days=3), MONDAY, MONDAY + timedelta(days=1)]
    for number, day in enumerate(days, start=1):
        await journal.record_intent(intent(attempt=number, session=day))
        meant = intent(attempt=number, session=day)
        told = replace(fill(f"e{number}", seconds=number), client_order_id=meant.client_order_id)
        await journal.record_fill(told)
    assert [i.session for i in await journal.intents_since(MONDAY)] == days[1:]
    assert [f.execution_id for f in await journal.fills_since(MONDAY)] == ["e2", "e3"]


async def test_the_oldest_open_session_is_that_of_the_first_buy_that_is_not_sold(journal: JournalDb) -> None:
    told = 0

    async def traded(day: int, symbol: str, side: Side, shares: int) -> None:
        nonlocal told
        told += 1
        meant = replace(intent(attempt=told, session=date(2026, 11, day)), symbol=symbol, side=side, shares=shares)
        meant = replace(meant, client_order_id=f"tsh-0123abcd-202611{day:02}-{symbol}-{side}-{told}")
        await journal.record_intent(meant)
        done = fill(f"e{told}", shares, seconds=told)
        await journal.record_fill(
            replace(done, client_order_id=meant.client_order_id, symbol=symbol, side=side, order_id=f"o{told}")
        )

    assert await journal.oldest_open_session() is None
    await traded(2, "OLD", "sell", 50)  # bought in an earlier journal: it must not hide what is bought later
    await traded(3, "AAA", "buy", 100)
    await traded(3, "AAA", "sell", 100)
    assert await journal.oldest_open_session() is None
    await traded(4, "AAA", "buy", 10)
    await traded(5, "AAA", "buy", 10)
    await traded(6, "OLD", "buy", 50)
    assert await journal.oldest_open_session() == date(2026, 11, 4)
    await traded(9, "AAA", "sell", 19)
    assert await journal.oldest_open_session() == date(2026, 11, 4)
    await traded(10, "AAA", "sell", 1)
    assert await journal.oldest_open_session() == date(2026, 11, 6)


async def test_a_sale_that_somebody_else_made_is_kept_whole_or_not_at_all(journal: JournalDb) -> None:
    """An intent that is left alone by a kill would come back as an order of ours whose fate nobody knows."""
    name = "outside-20261123-ABCD-1"
    meant = replace(intent(), client_order_id=name, leg="outside", side="sell")
    ended = replace(order(10, "filled", 5), order_id=name, client_order_id=name)
    done = replace(fill("e1", 10), order_id=name, client_order_id=name)
    await journal.record_order(ended)  # what stands in the way of the second of three rows
    with pytest.raises(sqlite3.IntegrityError):
        await journal.record_outside_sale(meant, ended, done)
    assert await journal.intents_since(MONDAY) == []
    assert await journal.fills_since(MONDAY) == []
    other = replace(ended, order_id=f"{name}0", client_order_id=f"{name}0")
    meant, done = replace(meant, client_order_id=f"{name}0"), replace(done, client_order_id=f"{name}0")
    await journal.record_outside_sale(meant, other, done)
    assert await journal.intents_since(MONDAY) == [meant]
    assert await journal.fills_since(MONDAY) == [done]
    assert await journal.orders([f"{name}0"]) == [other]
