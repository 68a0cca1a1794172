"""Bars: ``history``, ``dict_day1..5``, ``ds_day1..5``, ``dictionary_table`` (CONTRACTS, *Tables*).

``day1`` is the earliest training session. History holds 69 sessions: 64 bars of lookback
before day1 (day1's signal bar inclusive) and the five days; everything else of the week is
cut from it, so that the 1,000 trained tickers and the hold-out ones share one truth.
Prices in dollars, volume in shares, bars in the order open, high, low, close, volume.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import chain

import numpy as np

from engine.database import Database, Row, insert
from engine.errors import DataError
from engine.model import DAYS, LOOKBACK, TRAINING_ROWS, DailyBar, Floats, Panel

HISTORY_SESSIONS = LOOKBACK + DAYS
_BAR = "open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL"
_NUMBERS = "open, high, low, close, volume"


def _market_migration() -> tuple[str, ...]:
    statements = [
        f"CREATE TABLE history (symbol TEXT, session TEXT, {_BAR}, PRIMARY KEY (symbol, session)) WITHOUT ROWID",
        """CREATE TABLE history_build (
            one INTEGER PRIMARY KEY CHECK (one = 1), build_key TEXT NOT NULL, sessions TEXT NOT NULL)""",
        """CREATE TABLE history_chunks (
            chunk INTEGER PRIMARY KEY, symbols INTEGER NOT NULL, dropped TEXT NOT NULL)""",
        """CREATE TABLE weekly_data (
            one INTEGER PRIMARY KEY CHECK (one = 1), day1 TEXT NOT NULL, day2 TEXT NOT NULL, day3 TEXT NOT NULL,
            day4 TEXT NOT NULL, day5 TEXT NOT NULL, seed INTEGER NOT NULL, eligible INTEGER NOT NULL,
            sampled INTEGER NOT NULL)""",
    ]
    statements.append("CREATE TABLE companies (symbol TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID")
    for day in range(1, DAYS + 1):
        statements.append(
            f"CREATE TABLE dict_day{day} (symbol TEXT PRIMARY KEY, session TEXT NOT NULL, {_BAR}) WITHOUT ROWID"
        )
        statements.append(
            f'CREATE TABLE ds_day{day} (symbol TEXT, "row" INTEGER CHECK ("row" BETWEEN 1 AND {TRAINING_ROWS}), '
            f'session TEXT NOT NULL, {_BAR}, PRIMARY KEY (symbol, "row")) WITHOUT ROWID'
        )
    statements.append(
        f'CREATE TABLE dictionary_table (symbol TEXT, "row" INTEGER CHECK ("row" BETWEEN 1 AND {LOOKBACK}), '
        f'session TEXT NOT NULL, {_BAR}, PRIMARY KEY (symbol, "row")) WITHOUT ROWID'
    )
    statements.append(
        f"CREATE TABLE dictionary_history (symbol TEXT, session TEXT, {_BAR}, PRIMARY KEY (symbol, session)) "
        "WITHOUT ROWID"
    )
    return tuple(statements)


MARKET_MIGRATION = _market_migration()


def _block(rows: Sequence[Row], per_symbol: int) -> tuple[tuple[str, ...], Floats]:
    """(symbol, open..volume) rows, ``per_symbol`` of each in turn, as symbols and float64[symbols, n, 5]."""
    symbols = tuple(row[0] for row in rows[::per_symbol]) if per_symbol else ()
    flat = np.fromiter(chain.from_iterable(row[1:] for row in rows), dtype=np.float64, count=5 * len(rows))
    return symbols, flat.reshape(len(symbols), per_symbol, 5)


def training_windows(panel: Panel, day: int) -> Floats:
    """The windows of training day 1..5 of the week's history: [symbols, 65, 5], newest first."""
    if not 1 <= day <= DAYS:
        raise ValueError(f"training day {day} is not one of 1..{DAYS}")
    return panel.windows(LOOKBACK + day - 1, TRAINING_ROWS)


def _refuse_faulty(bars: Sequence[DailyBar], sessions: frozenset[str]) -> None:
    for bar in bars:
        fault = bar.fault()
        if fault is None and bar.session.isoformat() not in sessions:
            fault = "not one of the sessions being built"
        if fault is not None:
            raise DataError(
                f"the bar of {bar.symbol} on {bar.session} must not be stored: {fault}; "
                "the data source is at fault, run the stage again later"
            )


class MarketTables(Database):
    """The bar tables' part of ``StocksDataDb``."""

    async def begin_history(self, key: str, sessions: Sequence[date]) -> set[int]:
        """Starts or resumes a build; the chunks that are already stored.

        ``key`` names everything the bars depend on (sessions, symbols, screen, feed); under
        another key the stored history belongs to another week and is wiped.
        """
        days = [day.isoformat() for day in sessions]
        if days != sorted(set(days)):
            raise ValueError("history needs distinct sessions, oldest first")
        async with self.transaction() as connection:
            known = await connection.execute_fetchall("SELECT build_key FROM history_build")
            if [row[0] for row in known] == [key]:
                chunks = await connection.execute_fetchall("SELECT chunk FROM history_chunks")
                return {int(row[0]) for row in chunks}
            for table in ("history", "history_chunks", "history_build"):
                await connection.execute(f"DELETE FROM {table}")
            await connection.execute("INSERT INTO history_build VALUES (1, ?, ?)", (key, json.dumps(days)))
        return set()

    async def append_history(
        self, chunk: int, bars: Sequence[DailyBar], *, dropped: Mapping[str, int] | None = None
    ) -> None:
        """Stores one chunk whole, or not at all; storing it again changes nothing.

        ``dropped``: how many of the chunk's symbols were left out, by reason; kept so that a
        resumed build reports the same counts. DataError for a bar that must not be stored.
        """
        sessions = frozenset(day.isoformat() for day in await self.history_sessions())
        _refuse_faulty(bars, sessions)
        rows = [(b.symbol, b.session.isoformat(), b.open, b.high, b.low, b.close, b.volume) for b in bars]
        rows.sort()
        symbols = len({row[0] for row in rows})
        async with self.transaction() as connection:
            await connection.executemany("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            await connection.execute(
                "INSERT OR REPLACE INTO history_chunks VALUES (?, ?, ?)",
                (chunk, symbols, json.dumps(dict(dropped or {}), sort_keys=True)),
            )

    async def history_sessions(self) -> tuple[date, ...]:
        """The sessions of the history being built or built, oldest first; () when there is none."""
        found = await self.row("SELECT sessions FROM history_build")
        return () if found is None else tuple(date.fromisoformat(day) for day in json.loads(found[0]))

    async def history_dropped(self) -> dict[str, int]:
        """Symbols left out of the history by reason, over all chunks."""
        total: dict[str, int] = {}
        for (text,) in await self.rows("SELECT dropped FROM history_chunks ORDER BY chunk"):
            for reason, count in json.loads(text).items():
                total[reason] = total.get(reason, 0) + count
        return total

    async def history(self) -> Panel:
        """All symbols that have a bar on every session, in symbol order."""
        sessions = await self.history_sessions()
        rows = await self.rows(
            f"""SELECT symbol, {_NUMBERS} FROM history WHERE symbol IN
                (SELECT symbol FROM history GROUP BY symbol HAVING COUNT(*) = ?)
                ORDER BY symbol, session""",
            (len(sessions),),
        )
        symbols, bars = await asyncio.to_thread(_block, rows, len(sessions))
        return Panel(symbols, sessions, bars)

    async def replace_weekly_data(self, sample: Sequence[str], *, seed: int) -> None:
        """Cuts the week's tables from the history: every symbol's day bars, the sample's 65-row windows.

        Raises DataError when the history is not 69 sessions or a sampled symbol is not complete in it.
        """
        sessions = [day.isoformat() for day in await self.history_sessions()]
        if len(sessions) != HISTORY_SESSIONS:
            raise DataError(
                f"the history holds {len(sessions)} sessions, the week needs {HISTORY_SESSIONS}; "
                "run 'tshc weekend' to build it"
            )
        async with self.transaction() as connection:
            for statement in (
                "DROP TABLE IF EXISTS temp.chosen",
                "DROP TABLE IF EXISTS temp.calendar",
                "CREATE TEMP TABLE chosen (symbol TEXT PRIMARY KEY) WITHOUT ROWID",
                "CREATE TEMP TABLE calendar (session TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID",
            ):
                await connection.execute(statement)
            await connection.executemany("INSERT INTO temp.chosen VALUES (?)", [(s,) for s in sorted(sample)])
            calendar = [(session, position) for position, session in enumerate(sessions)]
            await connection.executemany("INSERT INTO temp.calendar VALUES (?, ?)", calendar)
            short = list(
                await connection.execute_fetchall(
                    """SELECT symbol FROM temp.chosen WHERE symbol NOT IN
                       (SELECT symbol FROM history GROUP BY symbol HAVING COUNT(*) = ?) ORDER BY symbol""",
                    (HISTORY_SESSIONS,),
                )
            )
            if short:
                raise DataError(
                    f"{len(short)} sampled symbols lack bars ({short[0][0]} is the first); "
                    "run 'tshc weekend' to build the history again"
                )
            for day in range(1, DAYS + 1):
                confirmation = LOOKBACK + day - 1
                await connection.execute(f"DELETE FROM dict_day{day}")
                await connection.execute(
                    f"INSERT INTO dict_day{day} SELECT symbol, session, {_NUMBERS} FROM history "
                    "WHERE session = ? ORDER BY symbol",
                    (sessions[confirmation],),
                )
                await connection.execute(f"DELETE FROM ds_day{day}")
                await connection.execute(
                    f"""INSERT INTO ds_day{day}
                        SELECT h.symbol, ? - c.position + 1 AS "row", h.session, {_NUMBERS}
                        FROM history h JOIN temp.calendar c ON c.session = h.session
                        WHERE h.symbol IN (SELECT symbol FROM temp.chosen) AND c.position BETWEEN ? AND ?
                        ORDER BY h.symbol, "row" """,
                    (confirmation, confirmation - LOOKBACK, confirmation),
                )
            await connection.execute(
                """INSERT OR REPLACE INTO weekly_data VALUES
                   (1, ?, ?, ?, ?, ?, ?, (SELECT COUNT(*) FROM dict_day1), ?)""",
                (*sessions[LOOKBACK:], seed, len(sample)),
            )
            await connection.execute("DROP TABLE temp.chosen")
            await connection.execute("DROP TABLE temp.calendar")

    async def sessions(self) -> tuple[date, ...]:
        """The five training sessions, day1 (the earliest) first; () when no data set is stored."""
        found = await self.row("SELECT day1, day2, day3, day4, day5 FROM weekly_data")
        return () if found is None else tuple(date.fromisoformat(day) for day in found)

    async def day_windows(self, day: int) -> tuple[tuple[str, ...], Floats]:
        """The sampled symbols and their windows of training day 1..5: [1000, 65, 5], newest first."""
        if not 1 <= day <= DAYS:
            raise ValueError(f"training day {day} is not one of 1..{DAYS}")
        rows = await self.rows(f'SELECT symbol, {_NUMBERS} FROM ds_day{day} ORDER BY symbol, "row"')
        if not rows:
            raise DataError(f"ds_day{day} is empty: weekly_5d_data has not run in this home; run 'tshc weekend'")
        return await asyncio.to_thread(_block, rows, TRAINING_ROWS)

    async def holdout(self) -> Panel:
        """The history of the eligible symbols that were not sampled; ``training_windows`` cuts a day from it."""
        panel, training = await self.history(), await self.sessions()
        if not training or panel.sessions[-DAYS:] != training:
            raise DataError(
                "the history and the week's data set are of different sessions: weekly_5d_data is unfinished; "
                "run 'tshc weekend' to finish it"
            )
        sampled = {row[0] for row in await self.rows('SELECT symbol FROM ds_day1 WHERE "row" = 1')}
        kept = [i for i, symbol in enumerate(panel.symbols) if symbol not in sampled]
        return Panel(tuple(panel.symbols[i] for i in kept), panel.sessions, panel.bars[kept])

    async def holdout_windows(self, day: int) -> tuple[tuple[str, ...], Floats]:
        """The windows of training day 1..5 of the symbols that were not sampled: [m, 65, 5], newest first."""
        outside = await self.holdout()
        return outside.symbols, training_windows(outside, day)

    async def replace_companies(self, names: Mapping[str, str]) -> None:
        """The company names of all common stock, by symbol."""
        async with self.transaction() as connection:
            await connection.execute("DELETE FROM companies")
            await insert(connection, "companies", sorted(names.items()), 2)

    async def companies(self) -> dict[str, str]:
        """Company names by symbol; {} before the first data set."""
        return {str(row[0]): str(row[1]) for row in await self.rows("SELECT symbol, name FROM companies")}

    async def replace_dictionary(self, session: date, panel: Panel) -> None:
        """Stores the weekday's universe: ``dictionary_table`` (64 rows ending ``session``), longer lookback."""
        if not panel.sessions or panel.sessions[-1] != session or len(panel.sessions) < LOOKBACK:
            raise DataError(
                f"the weekday's bars must be at least {LOOKBACK} sessions ending {session}, not "
                f"{len(panel.sessions)} ending {panel.sessions[-1] if panel.sessions else 'nowhere'}"
            )
        table, history = await asyncio.to_thread(_dictionary_rows, panel)
        async with self.transaction() as connection:
            for name, rows, columns in (("dictionary_table", table, 8), ("dictionary_history", history, 7)):
                await connection.execute(f"DELETE FROM {name}")
                await insert(connection, name, rows, columns)

    async def dictionary(self) -> tuple[date, Panel]:
        """The snapshot's session and its whole lookback, oldest session first; DataError when there is none."""
        rows = await self.rows(
            f"SELECT symbol, {_NUMBERS}, session FROM dictionary_history ORDER BY symbol, session"
        )
        if not rows:
            raise DataError(
                "dictionary_table is empty: daily_snapshot has not run; run 'tshc weekday' after a close"
            )
        days: list[str] = []
        for row in rows:
            if row[0] != rows[0][0]:
                break
            days.append(row[6])
        symbols, bars = await asyncio.to_thread(_block, [row[:6] for row in rows], len(days))
        sessions = tuple(date.fromisoformat(day) for day in days)
        return sessions[-1], Panel(symbols, sessions, bars)


def _dictionary_rows(panel: Panel) -> tuple[list[Row], list[Row]]:
    days = [day.isoformat() for day in panel.sessions]
    order = sorted(range(len(panel.symbols)), key=lambda i: panel.symbols[i])
    table: list[Row] = []
    history: list[Row] = []
    for i in order:
        symbol, bars = panel.symbols[i], panel.bars[i].tolist()
        history += [(symbol, day, *bar) for day, bar in zip(days, bars, strict=True)]
        table += [(symbol, row, days[-row], *bars[-row]) for row in range(1, LOOKBACK + 1)]
    return table, history
