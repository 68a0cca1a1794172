"""stocks_data.db: the market data of the week and of the day, and what was decided on it.

The engine writes it; the training and search workers open it read-only. Four families of
tables, one module each: bars (``market_tables``), groups (``group_tables``), the weekday's
lists (``daily_tables``), the news cache (``news_tables``).
"""

from __future__ import annotations

from engine.database import Schema
from engine.storage.daily_tables import DAILY_MIGRATION, PROMPT_SCORES_MIGRATION, DailyTables
from engine.storage.group_tables import GROUP_MIGRATION, LUCK_MIGRATION, SCOPE_MIGRATION, GroupTables
from engine.storage.market_tables import MARKET_MIGRATION, MarketTables
from engine.storage.news_tables import NEWS_MIGRATION, NEWS_TABLES, NewsTables


class StocksDataDb(MarketTables, GroupTables, DailyTables, NewsTables):
    """One home's market data and decisions."""

    SCHEMA = Schema(
        title="stocks_data database",
        application_id=0x54534853,  # "TSHS"
        migrations=(
            (*MARKET_MIGRATION, *GROUP_MIGRATION, *DAILY_MIGRATION),
            (*PROMPT_SCORES_MIGRATION, *NEWS_MIGRATION),
            LUCK_MIGRATION,
            SCOPE_MIGRATION,
        ),
        synchronous="NORMAL",
        remedy="run 'tshc weekend' to build the week's data anew (past weeks are in the archive folder)",
    )
    # How a build was cut into requests is not part of its result, nor what a feed said on the way to it.
    UNHASHED_TABLES = frozenset({"history_build", "history_chunks"}) | NEWS_TABLES
    UNHASHED_COLUMNS = {"search_outcome": frozenset({"seconds", "budget_s", "ledger"})}  # noqa: RUF012 (the base declares it)
