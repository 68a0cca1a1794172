"""The broker's JSON answers as ground-floor values; run in worker threads, no I/O."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from engine.broker import wire
from engine.broker.broker_types import BrokerOrder, BrokerPosition
from engine.model import NEW_YORK, Asset, DailyBar, NewsArticle, Quote, Session, Tick

log = logging.getLogger(__name__)


def sessions(raw: Any) -> list[Session]:
    """The calendar gives naive New York times; half days included."""
    found = []
    for row in wire.records(raw, "calendar"):
        day = date.fromisoformat(wire.text(row.get("date"), "date"))
        found.append(Session(day, _new_york(day, row.get("open")), _new_york(day, row.get("close"))))
    return sorted(found, key=lambda session: session.day)


def assets(raw: Any) -> list[Asset]:
    return [
        Asset(
            symbol=wire.text(row.get("symbol"), "symbol"),
            name=wire.text(row.get("name") or "", "name", 1000),
            exchange=wire.text(row.get("exchange"), "exchange"),
            asset_class=wire.text(row.get("class"), "class"),
            status=wire.text(row.get("status"), "status"),
            tradable=row.get("tradable") is True,
            attributes=tuple(str(a) for a in row.get("attributes") or ()),
        )
        for row in wire.records(raw, "assets")
    ]


def bars(raw: Any) -> list[DailyBar]:
    """A page of daily bars; ``session`` is the New York date of ``t``."""
    days: dict[str, date] = {}  # a page repeats few times on thousands of rows
    found = []
    for symbol, rows in wire.record(wire.record(raw, "page").get("bars"), "bars").items():
        for row in rows:
            stamp = row["t"]
            day = days.get(stamp)
            if day is None:
                day = days[stamp] = wire.instant(stamp, "t").astimezone(NEW_YORK).date()
            found.append(
                DailyBar(
                    symbol,
                    day,
                    float(row["o"]),
                    float(row["h"]),
                    float(row["l"]),
                    float(row["c"]),
                    float(row["v"]),
                )
            )
    return found


def quotes(raw: Any) -> dict[str, Quote]:
    seen = time.monotonic()
    rows = wire.record(wire.record(raw, "answer").get("quotes"), "quotes")
    return {symbol: quote(symbol, wire.record(row, symbol), seen) for symbol, row in rows.items()}


def ticks(raw: Any) -> dict[str, Tick]:
    seen = time.monotonic()
    rows = wire.record(wire.record(raw, "answer").get("trades"), "trades")
    return {symbol: tick(symbol, wire.record(row, symbol), seen) for symbol, row in rows.items()}


def quote(symbol: str, row: Mapping[str, Any], seen: float) -> Quote:
    """The fields are the same in REST answers and on the price stream."""
    bid, ask = wire.number(row.get("bp"), "bp"), wire.number(row.get("ap"), "ap")
    return Quote(symbol, bid, ask, wire.instant(row.get("t"), "t"), seen)


def tick(symbol: str, row: Mapping[str, Any], seen: float) -> Tick:
    return Tick(symbol, wire.number(row.get("p"), "p"), wire.instant(row.get("t"), "t"), seen)


def articles(raw: Any) -> list[NewsArticle]:
    """A page of news. An article without a number is dropped: one must not cost the page."""
    found = []
    for row in wire.records(wire.record(raw, "page").get("news"), "news"):
        try:
            found.append(_article(row))
        except wire.MalformedAnswer as error:
            log.warning("an article was skipped: %s", error)
    return found


def _article(row: Mapping[str, Any]) -> NewsArticle:
    number = row.get("id")
    if not isinstance(number, int) or not 0 <= number < 2**63:
        raise wire.MalformedAnswer("a news id is not a number")
    return NewsArticle(
        id=number,
        headline=str(row.get("headline") or "")[:2000],
        summary=str(row.get("summary") or "")[:10_000],
        source=str(row.get("source") or "")[:200],
        symbols=tuple(str(s) for s in row.get("symbols") or ()),
        created_at=_dated(row.get("created_at")),
    )


def _dated(value: Any) -> datetime:
    """An article without a usable date gets the feeds' own "no date", their zero: qual drops and counts it."""
    try:
        return wire.instant(value, "created_at")
    except wire.MalformedAnswer:
        return datetime(1970, 1, 1, tzinfo=UTC)


def orders(raw: Any) -> list[BrokerOrder]:
    """Row by row: a stranger's odd order must not hide all the others."""
    return [BrokerOrder.of_account(row) for row in wire.records(raw, "orders")]


def positions(raw: Any) -> list[BrokerPosition]:
    return [BrokerPosition.of_account(row) for row in wire.records(raw, "positions")]


def cancels(raw: Any) -> list[tuple[str, int]]:
    """The 207 list of a cancel-all: (order id, status of this one cancel)."""
    rows = wire.records([] if raw is None else raw, "cancels")
    return [(wire.text(row.get("id"), "id"), int(row.get("status", 500))) for row in rows]


def _new_york(day: date, clock: Any) -> datetime:
    hours, _, minutes = wire.text(clock, "session time").partition(":")
    return datetime(day.year, day.month, day.day, int(hours), int(minutes or 0), tzinfo=NEW_YORK).astimezone(UTC)
