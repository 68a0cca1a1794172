"""Where the broker is: Alpaca's own addresses by mode, or what the settings (or the simulator) say."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import UsageError
from engine.model import Mode
from engine.settings import BrokerSettings

_TRADING = {Mode.PAPER: "https://paper-api.alpaca.markets", Mode.LIVE: "https://api.alpaca.markets"}
_ORDERS = {Mode.PAPER: "wss://paper-api.alpaca.markets/stream", Mode.LIVE: "wss://api.alpaca.markets/stream"}
_DATA = "https://data.alpaca.markets"
_PRICES = "wss://stream.data.alpaca.markets/v2"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Origins without a trailing slash, and the two full websocket addresses."""

    trading_url: str
    data_url: str
    trade_stream_url: str
    price_stream_url: str

    @classmethod
    def of_simulator(cls, rest_url: str, trade_stream_url: str, price_stream_url: str) -> Endpoints:
        return cls(rest_url.rstrip("/"), rest_url.rstrip("/"), trade_stream_url, price_stream_url)

    @classmethod
    def of_settings(cls, settings: BrokerSettings) -> Endpoints:
        """Raises UsageError when mode sim has no addresses: only a running simulator knows them."""
        mode = settings.mode
        if mode is Mode.SIM and not (
            settings.trading_url and settings.trade_stream_url and settings.price_stream_url
        ):
            raise UsageError(
                "broker.mode is sim but no simulator address is known: start the engine ('tshc'), which starts "
                "one, or give broker.trading_url, broker.trade_stream_url and broker.price_stream_url"
            )
        data = settings.data_url or (settings.trading_url if mode is Mode.SIM else _DATA)
        return cls(
            trading_url=(settings.trading_url or _TRADING[mode]).rstrip("/"),
            data_url=data.rstrip("/"),
            trade_stream_url=settings.trade_stream_url or _ORDERS[mode],
            price_stream_url=settings.price_stream_url or f"{_PRICES}/{settings.feed}",
        )


def is_loopback(url: str) -> bool:
    """A proxy must not be asked for an address on this machine."""
    return (urlsplit(url).hostname or "") in _LOOPBACK
