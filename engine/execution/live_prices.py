"""Fresh numbers for gates and exits, and REST as the stand-in for a silent stream.

On IEX the gates use REST quotes (CONTRACTS, *Execution defaults*): its stream shows a
fortieth of the volume. Ages are wall seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.clock import MarketClock
from engine.broker.price_stream import PriceStream
from engine.execution import gates
from engine.execution.positions_book import Holding
from engine.model import Quote, Tick
from engine.settings import BrokerSettings, ExecutionSettings


class LivePrices:
    """The ``EntryFeed`` of real_trader, and more."""

    def __init__(
        self,
        rest: AlpacaRest,
        stream: PriceStream,
        clock: MarketClock,
        broker: BrokerSettings,
        rules: ExecutionSettings,
    ) -> None:
        self._rest, self._stream, self._clock = rest, stream, clock
        self._feed, self._rules = broker.feed, rules

    async def quote(self, symbol: str) -> Quote | None:
        """The best quote there is now; on SIP the stream's when it is fresh, else REST's."""
        if self._feed == "sip":
            quote = self.fresh_quote(symbol)
            if quote is not None:
                return quote
        return (await self._rest.latest_quotes([symbol])).get(symbol)

    def quote_age_s(self, quote: Quote) -> float:
        """Since we saw it, or by the venue's time stamp, whichever is more."""
        seen = time.monotonic() - quote.seen
        stamped = (self._clock.now() - quote.at).total_seconds() / (self._clock.rate or 1.0)
        return max(0.0, seen, stamped)

    def fresh_quote(self, symbol: str) -> Quote | None:
        """The stream's quote, if it is young enough to trade on."""
        quote = self._stream.quotes.get(symbol)
        if quote is None or self.quote_age_s(quote) > self._rules.quote_age_s:
            return None
        return quote

    def halted(self, symbol: str) -> str | None:
        """Why the symbol is halted, or None."""
        notice = self._stream.halted.get(symbol)
        return None if notice is None else notice.reason

    def silent(self, holdings: Iterable[Holding]) -> list[str]:
        """Symbols without a price for ``stale_after_s``, and those that REST stands in for already."""
        now, limit = time.monotonic(), self._rules.stale_after_s
        return [
            h.symbol for h in holdings if h.priced_at is None or now - h.priced_at > limit or h.source == "rest"
        ]

    async def from_rest(self, symbols: list[str]) -> list[Tick]:
        """The last trade of each symbol, or the middle of a later and narrow quote. May raise a BrokerError."""
        trades = await self._rest.latest_trades(symbols)
        quotes = await self._rest.latest_quotes(symbols)
        found = []
        for symbol in symbols:
            tick, quote = trades.get(symbol), quotes.get(symbol)
            narrow = quote is not None and gates.spread_gate(quote, self._rules.spread_cap_pct).passed
            if quote is not None and narrow and (tick is None or quote.at > tick.at):
                tick = Tick(symbol, (quote.bid + quote.ask) / 2, quote.at, quote.seen)
            if tick is not None:
                found.append(tick)
        return found
