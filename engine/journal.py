"""journal.db: what was decided, sent and filled, in the order it happened.

Synchronous FULL: when ``record_intent`` returns, the intent survives a power cut; only then
may the order leave. Events, intents, fills and approvals are append-only (triggers refuse
anything else); orders move forward only; stage runs say where a killed run resumes.
Wall and market times are both kept: they differ on the simulator.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from engine.database import Row, Schema, marks
from engine.errors import StorageError
from engine.events import Event
from engine.ledger_log import LEDGER_LOG_MIGRATION, LEDGER_REBUILT_MIGRATION, LedgerLog
from engine.model import utc_text
from engine.orders_model import Approval, Fill, OrderIntent, OrderState
from engine.qual_log import QUAL_LOG_MIGRATION, QualLog
from engine.run_log import RUN_LOG_MIGRATION, RunLog, now_text, time_or_none
from engine.tsh_log import TSH_LOG_MIGRATION, TshLog
from engine.views import EventView

SELECTION_LIFE = timedelta(days=7)  # a selection is traded until a week after its day5


def _append_only(table: str) -> tuple[str, str]:
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {table}'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {table}'); END",
    )


_VERSION_1 = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, market_at TEXT, kind TEXT NOT NULL,
        level TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL)""",
    """CREATE TABLE intents (
        client_order_id TEXT PRIMARY KEY, session TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        shares INTEGER NOT NULL, kind TEXT NOT NULL, limit_price TEXT, stop_price TEXT,
        time_in_force TEXT NOT NULL, leg TEXT NOT NULL, attempt INTEGER NOT NULL, why TEXT NOT NULL,
        at TEXT NOT NULL)""",
    "CREATE INDEX intents_session ON intents (session, at)",
    """CREATE TABLE orders (
        order_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        kind TEXT NOT NULL, shares INTEGER NOT NULL, filled_shares INTEGER NOT NULL, average_price TEXT,
        limit_price TEXT, stop_price TEXT, status TEXT NOT NULL, submitted_at TEXT NOT NULL,
        updated_at TEXT NOT NULL)""",
    "CREATE INDEX orders_client ON orders (client_order_id)",
    """CREATE TABLE fills (
        order_id TEXT NOT NULL, execution_id TEXT NOT NULL, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
        side TEXT NOT NULL, shares INTEGER NOT NULL, price TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (order_id, execution_id))""",
    """CREATE TABLE approvals (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, list_hash TEXT NOT NULL,
        account TEXT NOT NULL, mode TEXT NOT NULL, outcome TEXT NOT NULL, by TEXT NOT NULL,
        symbols TEXT NOT NULL, at TEXT NOT NULL)""",
    *RUN_LOG_MIGRATION,
    """CREATE TABLE selections (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, week TEXT NOT NULL, frozen_at TEXT NOT NULL,
        payload TEXT NOT NULL)""",
    "CREATE TABLE settings_kv (key TEXT PRIMARY KEY, value TEXT NOT NULL, at TEXT NOT NULL)",
    """CREATE TABLE forward_ledger (
        week TEXT NOT NULL, selected INTEGER NOT NULL, source TEXT NOT NULL, members TEXT NOT NULL,
        sessions INTEGER NOT NULL, candidates INTEGER NOT NULL, pp_excess REAL NOT NULL, pp_error REAL,
        tsh_excess REAL NOT NULL, tsh_error REAL, traded INTEGER NOT NULL, traded_pp_excess REAL,
        traded_tsh_excess REAL, traded_live_excess REAL, pp_to_live_gap REAL, at TEXT NOT NULL,
        PRIMARY KEY (week, selected, source))""",
    *_append_only("events"),
    *_append_only("intents"),
    *_append_only("fills"),
    *_append_only("approvals"),
    *_append_only("selections"),
)


# The advice that an approval was given under.
_APPROVAL_ADVICE = (
    "ALTER TABLE approvals ADD COLUMN grade TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE approvals ADD COLUMN advice TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE approvals ADD COLUMN size REAL NOT NULL DEFAULT 1.0",
    "ALTER TABLE approvals ADD COLUMN against_advice INTEGER NOT NULL DEFAULT 0",
)
# When a selection was frozen by the market's clock (a session's open is compared with it), and under which broker.
_SELECTION_ORIGIN = (
    "ALTER TABLE selections ADD COLUMN market_at TEXT",
    "ALTER TABLE selections ADD COLUMN source TEXT NOT NULL DEFAULT ''",
    *LEDGER_REBUILT_MIGRATION,
)
_APPROVAL_COLUMNS = (
    "session, list_hash, account, mode, outcome, by, symbols, at, grade, advice, size, against_advice"
)


class IntentExistsError(StorageError):
    """An intent with this client order id is already in the journal: ask the broker about it, do not send it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The two groups of a week, frozen; ``week`` is its day5."""

    week: date
    frozen_at: datetime  # wall time
    payload: dict[str, Any]
    market_at: datetime | None = None  # market time; None: frozen before it was kept
    source: str = ""  # the broker's mode then


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What one frozen group earned in one week against the equal-weight universe, net of costs.

    Excess in percent a day, mean over ``sessions`` of all ``candidates``; errors are standard
    errors over the days; the ``traded_*`` figures are of the four traded names.
    """

    week: date
    selected: int  # 1 traded, 2 shadow
    source: str  # "live", "paper", "sim", "walk-forward"
    members: str
    sessions: int
    candidates: int
    pp_excess: float
    pp_error: float | None
    tsh_excess: float
    tsh_error: float | None
    traded: int
    traded_pp_excess: float | None
    traded_tsh_excess: float | None
    traded_live_excess: float | None
    pp_to_live_gap: float | None


def _price(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _order_row(order: OrderState) -> Row:
    return (
        order.order_id, order.client_order_id, order.symbol, order.side, order.kind, order.shares,
        order.filled_shares, _price(order.average_price), _price(order.limit_price), _price(order.stop_price),
        order.status, utc_text(order.submitted_at), utc_text(order.updated_at),
    )  # fmt: skip


def _intent_row(intent: OrderIntent) -> Row:
    return (
        intent.client_order_id, intent.session.isoformat(), intent.symbol, intent.side, intent.shares,
        intent.kind, _price(intent.limit_price), _price(intent.stop_price), intent.time_in_force,
        intent.leg, intent.attempt, intent.why, utc_text(intent.at),
    )  # fmt: skip


def _fill_row(fill: Fill) -> Row:
    return (
        fill.order_id, fill.execution_id, fill.client_order_id, fill.symbol, fill.side, fill.shares,
        format(fill.price, "f"), utc_text(fill.at),
    )  # fmt: skip


class JournalDb(RunLog, QualLog, TshLog, LedgerLog):
    """The journal of one home. The engine writes it; anybody may read it."""

    SCHEMA = Schema(
        title="journal",
        application_id=0x5453484A,  # "TSHJ"
        migrations=(
            _VERSION_1,
            QUAL_LOG_MIGRATION,
            TSH_LOG_MIGRATION,
            LEDGER_LOG_MIGRATION,
            _APPROVAL_ADVICE,
            _SELECTION_ORIGIN,
        ),
        synchronous="FULL",
        remedy=(
            "look at the account's orders and positions at the broker before anything else "
            "('tshc flatten' closes them), and start the engine: it makes a new journal"
        ),
    )

    # --- events --------------------------------------------------------------------------------

    async def append(self, event: Event, market_at: datetime | None) -> int:
        """Stores one event; its sequence number."""
        return (await self.append_all([event], market_at))[0]

    async def append_all(self, events: Sequence[Event], market_at: datetime | None) -> list[int]:
        """Stores several events of one moment; their sequence numbers."""
        return await self.append_dated([(event, market_at) for event in events])

    async def append_dated(self, events: Sequence[tuple[Event, datetime | None]]) -> list[int]:
        """Stores events with their market times in one transaction: one wait for the disk."""
        rows = [
            (
                now_text(), None if market_at is None else utc_text(market_at), event.kind(), event.level.value,
                event.text, orjson.dumps(event.data()).decode(),
            )
            for event, market_at in events
        ]  # fmt: skip
        sql = "INSERT INTO events (at, market_at, kind, level, text, data) VALUES (?, ?, ?, ?, ?, ?)"

        def write(journal: sqlite3.Connection) -> list[int]:
            return [int(journal.execute(sql, row).lastrowid or 0) for row in rows]

        return await self.in_one_trip(write)

    async def events_since(self, seq: int, limit: int = 1000) -> list[EventView]:
        """Events with a larger sequence number, oldest first."""
        rows = await self.rows(
            "SELECT seq, at, market_at, kind, level, text, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, limit),
        )
        return [_event(row) for row in rows]

    async def last_events(self, count: int) -> list[EventView]:
        """The ``count`` latest events, oldest first."""
        rows = await self.rows(
            "SELECT seq, at, market_at, kind, level, text, data FROM events ORDER BY seq DESC LIMIT ?", (count,)
        )
        return [_event(row) for row in reversed(rows)]

    async def recent(self, kinds: Sequence[str], count: int) -> list[EventView]:
        """The ``count`` latest events of these kinds, oldest first."""
        rows = await self.rows(
            "SELECT seq, at, market_at, kind, level, text, data FROM events "
            f"WHERE kind IN ({marks(len(kinds))}) "
            "ORDER BY seq DESC LIMIT ?",
            (*kinds, count),
        )
        return [_event(row) for row in reversed(rows)]

    # --- orders --------------------------------------------------------------------------------

    async def record_intent(self, intent: OrderIntent) -> None:
        """Writes the intent to disk; only when this has returned may the order be sent.

        Raises IntentExistsError when the id is taken: an earlier life of the engine meant the same order.
        """
        row = _intent_row(intent)
        try:
            await self.in_one_trip(
                lambda journal: journal.execute(f"INSERT INTO intents VALUES ({marks(13)})", row), urgent=True
            )
        except sqlite3.IntegrityError as error:
            raise IntentExistsError(
                f"the order {intent.client_order_id} is already in the journal ({error}): nothing was sent. "
                "Look it up at the broker by this id; a new attempt needs the next attempt number"
            ) from error

    async def intents(self, session: date) -> list[OrderIntent]:
        """The session's intents in the order they were written."""
        rows = await self.rows("SELECT * FROM intents WHERE session = ? ORDER BY rowid", (session.isoformat(),))
        return [_intent(row) for row in rows]

    async def intents_since(self, session: date) -> list[OrderIntent]:
        """The intents of ``session`` and all later ones, in the order they were written."""
        rows = await self.rows("SELECT * FROM intents WHERE session >= ? ORDER BY rowid", (session.isoformat(),))
        return [_intent(row) for row in rows]

    async def intent(self, client_order_id: str) -> OrderIntent | None:
        row = await self.row("SELECT * FROM intents WHERE client_order_id = ?", (client_order_id,))
        return None if row is None else _intent(row)

    async def last_intent(self, symbol: str) -> OrderIntent | None:
        """The latest intent of a symbol, whatever its session."""
        row = await self.row("SELECT * FROM intents WHERE symbol = ? ORDER BY rowid DESC LIMIT 1", (symbol,))
        return None if row is None else _intent(row)

    async def record_order(self, order: OrderState) -> bool:
        """Stores what the broker said of an order unless something later is known; whether it was stored."""
        return await self.record_orders([order]) == 1

    async def record_orders(self, orders: Sequence[OrderState]) -> int:
        """Stores several in one transaction, each unless something later is known; how many were stored."""

        def write(journal: sqlite3.Connection) -> int:
            stored = 0
            for order in orders:
                known = journal.execute("SELECT * FROM orders WHERE order_id = ?", (order.order_id,)).fetchone()
                if known is None or order.supersedes(_order(tuple(known))):
                    journal.execute(f"INSERT OR REPLACE INTO orders VALUES ({marks(13)})", _order_row(order))
                    stored += 1
            return stored

        return await self.in_one_trip(write)

    async def orders(self, client_order_ids: Sequence[str] | None = None) -> list[OrderState]:
        """The latest known state of all orders (or of those ids), oldest submission first."""
        sql, parameters = "SELECT * FROM orders", tuple(client_order_ids or ())
        if client_order_ids is not None:
            sql += f" WHERE client_order_id IN ({marks(len(parameters))})"
        return [_order(row) for row in await self.rows(sql + " ORDER BY submitted_at, order_id", parameters)]

    async def record_fill(self, fill: Fill) -> bool:
        """Stores an execution once, however often stream and REST tell it; True the first time."""
        row, sql = _fill_row(fill), f"INSERT OR IGNORE INTO fills VALUES ({marks(8)})"
        return await self.in_one_trip(lambda journal: journal.execute(sql, row).rowcount == 1, urgent=True)

    async def record_outside_sale(self, intent: OrderIntent, order: OrderState, fill: Fill) -> None:
        """Stores a sale of somebody else, whole or not at all: an intent alone would be an order in doubt."""

        def write(journal: sqlite3.Connection) -> None:
            journal.execute(f"INSERT INTO intents VALUES ({marks(13)})", _intent_row(intent))
            journal.execute(f"INSERT INTO orders VALUES ({marks(13)})", _order_row(order))
            journal.execute(f"INSERT INTO fills VALUES ({marks(8)})", _fill_row(fill))

        await self.in_one_trip(write, urgent=True)

    async def fills(self, session: date) -> list[Fill]:
        """Executions of the session's intents, in the venue's time order."""
        rows = await self.rows(
            """SELECT f.* FROM fills f JOIN intents i ON i.client_order_id = f.client_order_id
               WHERE i.session = ? ORDER BY f.at, f.order_id, f.execution_id""",
            (session.isoformat(),),
        )
        return [_fill(row) for row in rows]

    async def fills_since(self, session: date) -> list[Fill]:
        """Executions of the intents of ``session`` and all later ones, in the venue's time order."""
        rows = await self.rows(
            """SELECT f.* FROM fills f JOIN intents i ON i.client_order_id = f.client_order_id
               WHERE i.session >= ? ORDER BY f.at, f.order_id, f.execution_id""",
            (session.isoformat(),),
        )
        return [_fill(row) for row in rows]

    async def oldest_open_session(self) -> date | None:
        """The session of the first buy of the oldest position that its fills have not sold; None when flat.

        As in the book, a sell without shares to sell counts for nothing (an earlier journal had their buy).
        """
        rows = await self.rows(
            """SELECT i.session, f.symbol, f.side, f.shares
               FROM fills f JOIN intents i ON i.client_order_id = f.client_order_id
               ORDER BY f.at, f.side, f.order_id, f.execution_id"""  # of one moment the buy comes first
        )
        held: dict[str, int] = {}
        since: dict[str, str] = {}
        for session, symbol, side, shares in rows:
            before = held.get(symbol, 0)
            held[symbol] = before + shares if side == "buy" else max(0, before - shares)
            if before == 0 and held[symbol]:
                since[symbol] = session
        return min((date.fromisoformat(since[s]) for s, shares in held.items() if shares), default=None)

    # --- approvals and selections --------------------------------------------------------------

    async def record_approval(self, approval: Approval) -> None:
        async with self.transaction() as connection:
            await connection.execute(
                f"INSERT INTO approvals ({_APPROVAL_COLUMNS}) VALUES ({marks(12)})",
                (
                    approval.session.isoformat(), approval.list_hash, approval.account, approval.mode,
                    approval.outcome, approval.by, json.dumps(approval.symbols), utc_text(approval.at),
                    approval.grade, approval.advice, approval.size, int(approval.against_advice),
                ),
            )  # fmt: skip

    async def approval(self, session: date) -> Approval | None:
        """The last word on the session's trade list: a later one (a swap, the deadline) voids an earlier one."""
        row = await self.row(
            f"SELECT {_APPROVAL_COLUMNS} FROM approvals WHERE session = ? ORDER BY seq DESC LIMIT 1",
            (session.isoformat(),),
        )
        return None if row is None else _approval(row)

    async def last_list_before(self, session: date) -> Approval | None:
        """How the latest list of an earlier session ended; None when there was none."""
        row = await self.row(
            f"SELECT {_APPROVAL_COLUMNS} FROM approvals "
            "WHERE session < ? AND outcome != 'voided' ORDER BY session DESC, seq DESC LIMIT 1",
            (session.isoformat(),),
        )
        return None if row is None else _approval(row)

    async def freeze_selection(
        self, week: date, payload: Mapping[str, Any], *, market_at: datetime | None = None, source: str = ""
    ) -> None:
        """Freezes the week's groups (``week`` is day5); of several freezes of a week the last is read.

        ``market_at``: the market's time now; ``source``: the broker's mode.
        """
        async with self.transaction() as connection:
            await connection.execute(
                "INSERT INTO selections (week, frozen_at, payload, market_at, source) VALUES (?, ?, ?, ?, ?)",
                (
                    week.isoformat(),
                    now_text(),
                    json.dumps(dict(payload), sort_keys=True),
                    None if market_at is None else utc_text(market_at),
                    source,
                ),
            )

    async def selections(self, since: date) -> list[Selection]:
        """All that were frozen for weeks from ``since`` on, in the order of freezing."""
        rows = await self.rows(
            "SELECT week, frozen_at, payload, market_at, source FROM selections WHERE week >= ? ORDER BY seq",
            (since.isoformat(),),
        )
        return [_selection(row) for row in rows]

    async def live_selection(self, at: date) -> Selection | None:
        """The selection in force on session ``at``: the last frozen one, from its day5 until seven days later.

        Ask with the session to be traded. A new weekend run asks with the first session after
        its own day5; None then means that nothing is being replaced.
        """
        row = await self.row(
            "SELECT week, frozen_at, payload, market_at, source FROM selections WHERE week <= ? AND week >= ? "
            "ORDER BY seq DESC LIMIT 1",
            (at.isoformat(), (at - SELECTION_LIFE).isoformat()),
        )
        return None if row is None else _selection(row)

    # --- small persistent state ----------------------------------------------------------------

    async def put(self, key: str, value: Any) -> None:
        """Keeps one JSON value under ``key`` (the flatten machine's state, for instance)."""
        row = (key, json.dumps(value, sort_keys=True), now_text())
        await self.in_one_trip(
            lambda journal: journal.execute("INSERT OR REPLACE INTO settings_kv VALUES (?, ?, ?)", row)
        )

    async def get(self, key: str, default: Any = None) -> Any:
        row = await self.row("SELECT value FROM settings_kv WHERE key = ?", (key,))
        return default if row is None else json.loads(row[0])

    async def set_latch(self, reason: str | None) -> None:
        """Latches entries off with a reason; None lets them in again. Survives restarts."""
        await self.put("latch", reason)

    async def latch(self) -> str | None:
        """Why entries are latched off, or None."""
        reason = await self.get("latch")
        return None if reason is None else str(reason)

    # --- forward ledger ------------------------------------------------------------------------

    async def record_ledger_entry(self, entry: LedgerEntry) -> None:
        """Stores a week's verdict of one group; a later computation of the same week replaces it."""
        values = (entry.week.isoformat(), *astuple(entry)[1:], now_text())
        async with self.transaction() as connection:
            await connection.execute(
                f"INSERT OR REPLACE INTO forward_ledger VALUES ({marks(len(values))})", values
            )

    async def ledger(self) -> list[LedgerEntry]:
        """All entries, oldest week first."""
        names = ", ".join(f.name for f in fields(LedgerEntry))
        rows = await self.rows(f"SELECT {names} FROM forward_ledger ORDER BY week, selected, source")
        return [LedgerEntry(date.fromisoformat(row[0]), *row[1:]) for row in rows]


def _approval(row: Row) -> Approval:
    return Approval(
        session=date.fromisoformat(row[0]),
        list_hash=row[1],
        account=row[2],
        mode=row[3],
        outcome=row[4],
        by=row[5],
        symbols=tuple(json.loads(row[6])),
        at=datetime.fromisoformat(row[7]),
        grade=row[8],
        advice=row[9],
        size=row[10],
        against_advice=bool(row[11]),
    )


def _selection(row: Row) -> Selection:
    return Selection(
        week=date.fromisoformat(row[0]),
        frozen_at=datetime.fromisoformat(row[1]),
        payload=json.loads(row[2]),
        market_at=time_or_none(row[3]),
        source=row[4],
    )


def _event(row: Row) -> EventView:
    return EventView(
        seq=row[0],
        at=datetime.fromisoformat(row[1]),
        market_at=time_or_none(row[2]),
        kind=row[3],
        level=row[4],
        text=row[5],
        data=orjson.loads(row[6]),
    )


def _intent(row: Row) -> OrderIntent:
    return OrderIntent(
        client_order_id=row[0], session=date.fromisoformat(row[1]), symbol=row[2], side=row[3], shares=row[4],
        kind=row[5], limit_price=_decimal(row[6]), stop_price=_decimal(row[7]), time_in_force=row[8],
        leg=row[9], attempt=row[10], why=row[11], at=datetime.fromisoformat(row[12]),
    )  # fmt: skip


def _fill(row: Row) -> Fill:
    return Fill(
        order_id=row[0], execution_id=row[1], client_order_id=row[2], symbol=row[3], side=row[4], shares=row[5],
        price=Decimal(row[6]), at=datetime.fromisoformat(row[7]),
    )  # fmt: skip


def _order(row: Row) -> OrderState:
    return OrderState(
        order_id=row[0], client_order_id=row[1], symbol=row[2], side=row[3], kind=row[4], shares=row[5],
        filled_shares=row[6], average_price=_decimal(row[7]), limit_price=_decimal(row[8]),
        stop_price=_decimal(row[9]), status=row[10], submitted_at=datetime.fromisoformat(row[11]),
        updated_at=datetime.fromisoformat(row[12]),
    )  # fmt: skip
