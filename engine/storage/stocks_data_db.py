"""stocks_data.db: the market data of the week and of the day, and what was decided on it.

The engine writes it; the training and search workers open it read-only. Three families of
tables, one module each: bars (``market_tables``), groups (``group_tables``), the weekday's
lists (``daily_tables``).
"""

from __future__ import annotations

from engine.database import Schema
from engine.storage.daily_tables import DAILY_MIGRATION, DailyTables
from engine.storage.group_tables import GROUP_MIGRATION, GroupTables
from engine.storage.market_tables import MARKET_MIGRATION, MarketTables


class StocksDataDb(MarketTables, GroupTables, DailyTables):
    """One home's market data and decisions."""

    SCHEMA = Schema(
        title="stocks_data database",
        application_id=0x54534853,  # "TSHS"
        migrations=((*MARKET_MIGRATION, *GROUP_MIGRATION, *DAILY_MIGRATION),),
        synchronous="NORMAL",
        remedy="run 'tshc weekend' to build the week's data anew (past weeks are in the archive folder)",
    )
    # How a build was cut into requests is not part of its result.
    UNHASHED_TABLES = frozenset({"history_build", "history_chunks"})
    UNHASHED_COLUMNS = {"search_outcome": frozenset({"seconds", "budget_s", "ledger"})}  # noqa: RUF012 (the base declares it)
