"""The market-data half of the REST contract: bars with paging, latest trades and quotes, snapshots, news.

Only what the market clock has passed is ever shown. Daily bars are served from the record;
today's forming bar comes from the path so far.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from aiohttp import web

from engine.model import NEW_YORK, UTC
from engine.simulator.news import Article
from engine.simulator.orders import Json, VenueError, boolean
from engine.simulator.price_socket import bar_json, quote_json, trade_json
from engine.simulator.sessions import new_york_time
from engine.simulator.venue import Venue
from engine.simulator.wire import answer, midnight, moment, rfc3339

_MOST_POINTS, _USUAL_POINTS = 10_000, 1000
_MOST_ARTICLES, _USUAL_ARTICLES = 50, 10
_ADJUSTMENTS = {"raw", "split", "dividend", "spin-off", "all"}
_FEEDS = {"sip", "iex", "delayed_sip", "otc", "boats", "overnight"}
_TIMEFRAME = re.compile(r"^(\d+)(Min|T|Hour|H|Day|D)$")
_SYMBOL = re.compile(r"^[A-Z0-9]{1,8}([./-][A-Z0-9]{1,5})?$")


class MarketDataRoutes:
    """Handlers over one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._midnights: dict[date, str] = {s.day: midnight(s.day) for s in venue.market.sessions.all}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/stocks/bars", self.bars),
            web.get("/v2/stocks/bars/latest", self.latest_bars),
            web.get("/v2/stocks/trades/latest", self.latest_trades),
            web.get("/v2/stocks/quotes/latest", self.latest_quotes),
            web.get("/v2/stocks/snapshots", self.snapshots),
            web.get("/v1beta1/news", self.news),
        ]

    # --- bars -----------------------------------------------------------------------------

    async def bars(self, request: web.Request) -> web.Response:
        """At most ``limit`` points over all symbols a page, by symbol, then time."""
        query, now = request.query, self._venue.advance()
        symbols = sorted(set(_symbols(request)))
        _check_choices(request)
        unit, count = _timeframe(query.get("timeframe", ""))
        limit = _page_size(query.get("limit"), _USUAL_POINTS, _MOST_POINTS)
        end = _time(query.get("end"), "end", now, last_of_day=True)
        start = _time(query.get("start"), "start", datetime.combine(now.date(), time(0), UTC))
        if query.get("sort", "asc") not in ("asc", "desc"):
            raise VenueError(400, None, f"invalid sort: {query['sort']}")
        newest_first = query.get("sort") == "desc"
        after_symbol, after_time = _from_token(query.get("page_token"))
        read = self._day_reader(start, end, now) if unit == "day" else self._minute_reader(start, end, count, now)

        page: dict[str, list[Json]] = {}
        taken, token, last = 0, None, ("", "")
        for symbol in symbols:
            if after_symbol and symbol < after_symbol:
                continue
            points = read(symbol)
            if newest_first:
                points.reverse()
            if symbol == after_symbol:
                points = [p for p in points if (p["t"] < after_time if newest_first else p["t"] > after_time)]
            if not points:
                continue
            if taken == limit:
                token = _token(*last)
                break
            page[symbol] = points[: limit - taken]
            taken += len(page[symbol])
            last = (symbol, page[symbol][-1]["t"])
            if len(page[symbol]) < len(points):
                token = _token(*last)
                break
        return answer({"bars": page, "next_page_token": token, "currency": "USD"})

    def _day_reader(self, start: datetime, end: datetime, now: datetime) -> Callable[[str], list[Json]]:
        tape, days = self._venue.tape, self._midnights
        first = start.astimezone(NEW_YORK)
        # A daily bar is stamped midnight New York: it is in [start, end] only when that moment is.
        first_day = first.date() if first.time() == time(0) else first.date() + timedelta(days=1)
        last_day = end.astimezone(NEW_YORK).date()

        def read(symbol: str) -> list[Json]:
            return [bar_json(days[d.day], d.bar) for d in tape.daily_bars(symbol, first_day, last_day, now)]

        return read

    def _minute_reader(
        self, start: datetime, end: datetime, minutes: int, now: datetime
    ) -> Callable[[str], list[Json]]:
        tape = self._venue.tape

        def read(symbol: str) -> list[Json]:
            return [bar_json(rfc3339(at), bar) for at, bar in tape.minute_bars(symbol, start, end, minutes, now)]

        return read

    # --- latest ---------------------------------------------------------------------------

    async def latest_bars(self, request: web.Request) -> web.Response:
        now = self._venue.advance()
        _check_choices(request)
        found = {s: bar for s in _symbols(request) if (bar := self._minute_bar(s, now)) is not None}
        return answer({"bars": found})

    async def latest_trades(self, request: web.Request) -> web.Response:
        now = self._venue.advance()
        _check_choices(request)
        return answer({"trades": {s: t for s in _symbols(request) if (t := self._trade(s, now)) is not None}})

    async def latest_quotes(self, request: web.Request) -> web.Response:
        now = self._venue.advance()
        _check_choices(request)
        return answer({"quotes": {s: q for s in _symbols(request) if (q := self._quote(s, now)) is not None}})

    async def snapshots(self, request: web.Request) -> web.Response:
        now = self._venue.advance()
        _check_choices(request)
        found: dict[str, Json] = {}
        for symbol in _symbols(request):
            trade = self._trade(symbol, now)
            if trade is None:
                continue
            today = now.astimezone(NEW_YORK).date()
            bars = self._venue.tape.daily_bars(symbol, today - timedelta(days=30), today, now)[-2:]
            daily = [bar_json(self._midnights[d.day], d.bar) for d in bars]
            found[symbol] = {
                "latestTrade": trade,
                "latestQuote": self._quote(symbol, now),
                "minuteBar": self._minute_bar(symbol, now),
                "dailyBar": daily[-1] if daily else None,
                "prevDailyBar": daily[-2] if len(daily) > 1 else None,
            }
        return answer(found)

    def _trade(self, symbol: str, now: datetime) -> Json | None:
        last = self._venue.tape.last(symbol, now) if self._listed(symbol) else None
        return _with_text_time(trade_json(last)) if last else None

    def _quote(self, symbol: str, now: datetime) -> Json | None:
        top = self._venue.tape.quote(symbol, now) if self._listed(symbol) else None
        return _with_text_time(quote_json(top)) if top else None

    def _minute_bar(self, symbol: str, now: datetime) -> Json | None:
        """The latest finished minute of the latest session that the symbol traded in."""
        last = self._venue.tape.last(symbol, now) if self._listed(symbol) else None
        if last is None:
            return None
        minutes = self._venue.tape.minute_bars(symbol, last.at - timedelta(minutes=2), last.at, 1, now)
        return bar_json(rfc3339(minutes[-1][0]), minutes[-1][1]) if minutes else None

    def _listed(self, symbol: str) -> bool:
        return symbol in self._venue.exchange.listings

    # --- news -----------------------------------------------------------------------------

    async def news(self, request: web.Request) -> web.Response:
        query, now = request.query, self._venue.advance()
        limit = _page_size(query.get("limit"), _USUAL_ARTICLES, _MOST_ARTICLES)
        end = min(_time(query.get("end"), "end", now, last_of_day=True), now)
        start = _time(query.get("start"), "start", end - timedelta(days=1))
        asked = [s for s in query.get("symbols", "").split(",") if s]
        found = self._venue.news.articles(asked or self._venue.news.symbols, start, end) if start <= end else []
        if query.get("sort", "desc").lower() != "asc":
            found.reverse()
        marker, _ = _from_token(query.get("page_token"))
        begin = next((i + 1 for i, a in enumerate(found) if str(a.id) == marker), 0) if marker else 0
        page: list[Article] = found[begin : begin + limit]
        more = begin + limit < len(found)
        content = boolean(query.get("include_content", ""))
        return answer(
            {
                "news": [a.json(content=content) for a in page],
                "next_page_token": _token(str(page[-1].id), "") if more and page else None,
            }
        )


def _with_text_time(content: Json) -> Json:
    return {k: rfc3339(v) if isinstance(v, datetime) else v for k, v in content.items()}


def _symbols(request: web.Request) -> list[str]:
    symbols = [s.strip() for s in request.query.get("symbols", "").split(",") if s.strip()]
    if not symbols:
        raise VenueError(400, None, "symbols is required")
    for symbol in symbols:
        if not _SYMBOL.match(symbol):
            raise VenueError(400, None, f"invalid symbol: {symbol}")
    return symbols


def _check_choices(request: web.Request) -> None:
    """VenueError for an adjustment or a feed that the venue does not know."""
    for part in request.query.get("adjustment", "raw").split(","):
        if part not in _ADJUSTMENTS:
            raise VenueError(400, None, f"invalid adjustment: {part}")
    feed = request.query.get("feed", "sip")
    if feed not in _FEEDS:
        raise VenueError(400, None, f"invalid feed: {feed}")


def _timeframe(text: str) -> tuple[str, int]:
    """("day", 1) or ("minute", minutes)."""
    match = _TIMEFRAME.match(text)
    if match is None:
        raise VenueError(400, None, f"invalid timeframe: {text} (this venue simulates minutes, hours and 1Day)")
    count, unit = int(match[1]), match[2]
    if unit in ("Day", "D") and count == 1:
        return "day", 1
    if unit in ("Min", "T") and 1 <= count <= 59:
        return "minute", count
    if unit in ("Hour", "H") and 1 <= count <= 23:
        return "minute", 60 * count
    raise VenueError(400, None, f"invalid timeframe: {text}")


def _page_size(text: str | None, usual: int, most: int) -> int:
    if text is None:
        return usual
    if not text.isdigit() or int(text) < 1:
        raise VenueError(400, None, "invalid limit: must be a positive number")
    if int(text) > most:
        raise VenueError(400, None, f"invalid limit: larger than the allowed maximum of {most}")
    return int(text)


def _time(text: str | None, name: str, otherwise: datetime, *, last_of_day: bool = False) -> datetime:
    """A client's time; a bare date is midnight New York, as an end the last moment of that day."""
    if not text:
        return otherwise
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return new_york_time(day, time(23, 59, 59) if last_of_day else time(0))
        return moment(text)
    except ValueError:
        raise VenueError(400, None, f"invalid {name}: {text}") from None


def _token(symbol: str, at: str) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{at}".encode()).decode()


def _from_token(text: str | None) -> tuple[str, str]:
    """(symbol, time) after which the page begins; two empty strings for the first page."""
    if not text:
        return "", ""
    try:
        symbol, bar, at = base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode().partition("|")
    except (binascii.Error, UnicodeError):
        symbol, bar, at = "", "", ""
    if not symbol or not bar:
        raise VenueError(400, None, "invalid page_token")
    return symbol, at
