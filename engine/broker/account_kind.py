"""Is this the account that ``broker.mode`` names? Asked before anything is sent, and again of the broker's answer.

Three signs, each by itself: the key id (Alpaca's begin with PK for paper, AK for live), the
address (paper-api and api), and the account's number (PA... paper, digits live, SIM... our
simulator). A sign that says nothing decides nothing; one that contradicts the mode refuses:
paper settings must not move real money, and nobody should believe in live orders that are
paper.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from engine.broker.credentials import HOW_TO_SET
from engine.broker.endpoints import Endpoints
from engine.errors import RefusedError
from engine.model import Mode

_KEYS = {"PK": Mode.PAPER, "AK": Mode.LIVE}
_HOSTS = {"paper-api.alpaca.markets": Mode.PAPER, "api.alpaca.markets": Mode.LIVE}


def kind_of_key(key: str) -> Mode | None:
    """Whose key this is by its first two letters; None when they say nothing."""
    return _KEYS.get(key[:2].upper())


def kind_of_address(url: str) -> Mode | None:
    return _HOSTS.get((urlsplit(url).hostname or "").lower())


def kind_of_account(number: str) -> Mode | None:
    if number.startswith("PA"):
        return Mode.PAPER
    if number.startswith("SIM"):
        return Mode.SIM
    return Mode.LIVE if number.isdecimal() else None


def check_keys(mode: Mode, key: str) -> None:
    """RefusedError for a paper key in live mode or a live key in paper mode. The simulator takes any key."""
    kind = kind_of_key(key)
    if mode is not Mode.SIM and kind not in (None, mode):
        raise RefusedError(
            f"broker.mode is {mode}, but the key is one of the {kind} account ({key[:2]}...): nothing was sent; "
            f"{HOW_TO_SET}, or set broker.mode to {kind}"
        )


def check_addresses(mode: Mode, endpoints: Endpoints) -> None:
    """RefusedError when a trading address is Alpaca's own for another mode."""
    for name, url in (
        ("broker.trading_url", endpoints.trading_url),
        ("broker.trade_stream_url", endpoints.trade_stream_url),
    ):
        kind = kind_of_address(url)
        if kind not in (None, mode):
            raise RefusedError(
                f"broker.mode is {mode}, but {name} leads to the {kind} account: nothing was sent; "
                f"leave {name} empty, or set broker.mode to {kind}"
            )


def check_account(mode: Mode, number: str) -> None:
    """RefusedError when the account that answered is not of the mode."""
    kind = kind_of_account(number)
    if kind not in (None, mode):
        real = "a real-money account" if kind is Mode.LIVE else f"a {kind} account"
        raise RefusedError(
            f"broker.mode is {mode}, but the account that answered, {number}, is {real}: no order was sent; "
            f"check the keys and broker.trading_url, or set broker.mode to {kind}"
        )
