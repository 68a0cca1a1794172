"""Headlines of the simulated market: a pure function of (seed, symbol, date).

Good, bad and neutral ones from templates, now and then an offering or a trading halt;
about a third of the symbols never make news. They know nothing of the day's prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from engine.simulator.intraday import seeded
from engine.simulator.market import Listing
from engine.simulator.orders import Json
from engine.simulator.sessions import new_york_time
from engine.simulator.wire import rfc3339

_SILENT_SHARE = 0.35  # of the symbols
_A_DAY = 0.22  # articles a day of the others, on average
_FIRST, _LAST = time(5, 0), time(19, 30)  # New York
_SOURCES = ("benzinga", "simwire")
_MOODS = (("good", 0.34), ("bad", 0.28), ("neutral", 0.30), ("offering", 0.05), ("halt", 0.03))
_TEMPLATES = {
    "good": (
        ("{name} beats quarterly estimates and raises full-year guidance", "Revenue grew {n} % from a year ago."),
        ("{name} wins a {n} million dollar multi-year contract", "Deliveries start next quarter."),
        ("Analyst upgrades {symbol} to buy, sees {n} % upside", "The note cites strong demand and margins."),
        ("{name} announces a {n} million dollar share buyback", "The board approved the program unanimously."),
        ("{name} receives regulatory approval for its lead product", "Shares are expected to benefit."),
    ),
    "bad": (
        ("{name} misses estimates and cuts its outlook", "Management expects revenue to decline {n} % this year."),
        ("{name} faces an investigation over its accounting", "The company says it will cooperate fully."),
        ("Analyst downgrades {symbol} to sell on weak demand", "The note warns of falling margins."),
        ("{name} recalls products after safety complaints", "The recall may cost {n} million dollars."),
        ("{name} chief financial officer resigns unexpectedly", "A search for a successor has begun."),
    ),
    "neutral": (
        ("{name} to present at an investor conference", "A webcast will be available."),
        ("{name} schedules its quarterly results call", "Results are due before the market opens."),
        ("{name} appoints a new member to its board", "The board now has {n} members."),
        ("{name} opens an office in Denver", "The office will house {n} employees."),
    ),
    "offering": (
        ("{name} prices a public offering of {n} million shares", "Proceeds are for general corporate purposes."),
        (
            "{name} files for an at-the-market offering of common stock",
            "The offering dilutes holders by up to {n} %.",
        ),
    ),
    "halt": (
        ("Trading in {symbol} halted, news pending", "The exchange will announce when trading resumes."),
        ("{symbol} resumes trading after a volatility pause", "The pause lasted five minutes."),
    ),
}


@dataclass(frozen=True, slots=True)
class Article:
    id: int
    headline: str
    summary: str
    source: str
    symbol: str
    created_at: datetime
    mood: str

    def json(self, *, content: bool) -> Json:
        return {
            "id": self.id,
            "headline": self.headline,
            "author": "Simulated Desk",
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.created_at),
            "summary": self.summary,
            "content": f"<p>{self.summary}</p>" if content else "",
            "images": [],
            "symbols": [self.symbol],
            "source": self.source,
            "url": None,
        }


class NewsDesk:
    """All articles there are, asked for by symbol and time."""

    def __init__(self, listings: Sequence[Listing], seed: int) -> None:
        self._names = {listing.symbol: listing.name for listing in listings}
        self._seed = seed
        self._silent = {s: float(seeded("silent", seed, s).random()) < _SILENT_SHARE for s in self._names}

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._names)

    def articles(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[Article]:
        """Articles created from ``start`` to ``end``, oldest first. Symbols without a listing have none."""
        days = (end.date() - start.date()).days
        found = [
            article
            for symbol in symbols
            if symbol in self._names and not self._silent[symbol]
            for offset in range(-1, days + 1)
            for article in self._of_day(symbol, start.date() + timedelta(days=offset))
            if start <= article.created_at <= end
        ]
        return sorted(found, key=lambda a: (a.created_at, a.id))

    def _of_day(self, symbol: str, day: date) -> Iterator[Article]:
        rng = seeded("news", self._seed, symbol, day)
        first = new_york_time(day, _FIRST)
        seconds = int((new_york_time(day, _LAST) - first).total_seconds())
        for _ in range(int(rng.poisson(_A_DAY if day.weekday() < 5 else _A_DAY / 5))):
            place, mood = float(rng.random()), "neutral"
            for name, share in _MOODS:
                if place < share:
                    mood = name
                    break
                place -= share
            templates = _TEMPLATES[mood]
            headline, summary = templates[int(rng.integers(len(templates)))]
            words = {"name": self._names[symbol], "symbol": symbol, "n": int(rng.integers(5, 60))}
            yield Article(
                id=int(rng.integers(10**9, 2**52)),
                headline=headline.format(**words),
                summary=summary.format(**words),
                source=_SOURCES[int(rng.integers(len(_SOURCES)))],
                symbol=symbol,
                created_at=first + timedelta(seconds=int(rng.integers(0, seconds))),
                mood=mood,
            )
