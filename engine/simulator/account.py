"""The simulated account: cash, long positions, equity; no leverage, no shorts, no fees. Decimal dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.simulator.orders import Json

CENT = Decimal("0.01")


@dataclass(slots=True)
class Position:
    """A long position; ``average`` is the weighted average of the buys, dollars a share."""

    symbol: str
    shares: Decimal
    average: Decimal
    bought_today: Decimal = Decimal(0)  # shares bought in the present session


@dataclass
class Account:
    id: str
    number: str
    cash: Decimal
    last_equity: Decimal  # at the previous session's close
    positions: dict[str, Position] = field(default_factory=dict)

    def buy(self, symbol: str, shares: Decimal, price: Decimal) -> None:
        self.cash -= shares * price
        held = self.positions.get(symbol)
        if held is None:
            self.positions[symbol] = Position(symbol, shares, price, shares)
            return
        held.average = (held.average * held.shares + price * shares) / (held.shares + shares)
        held.shares += shares
        held.bought_today += shares

    def sell(self, symbol: str, shares: Decimal, price: Decimal) -> None:
        """ValueError when more is sold than held: the exchange must have refused that."""
        held = self.positions.get(symbol)
        if held is None or shares > held.shares:
            raise ValueError(f"{shares} {symbol} sold, {held.shares if held else 0} held")
        self.cash += shares * price
        held.shares -= shares
        held.bought_today = min(held.bought_today, held.shares)
        if not held.shares:
            del self.positions[symbol]

    def held(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.shares if position else Decimal(0)

    def json(self, market_value: Decimal, reserved: Decimal, created_at: str) -> Json:
        """The account as the venue sends it; the fields the venue has dropped are not sent."""
        equity = self.cash + market_value
        power = max(self.cash - reserved, Decimal(0))
        return {
            "id": self.id,
            "account_number": self.number,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": dollars(self.cash),
            "buying_power": dollars(power),
            "regt_buying_power": dollars(power),
            "non_marginable_buying_power": dollars(power),
            "equity": dollars(equity),
            "last_equity": dollars(self.last_equity),
            "portfolio_value": dollars(equity),
            "long_market_value": dollars(market_value),
            "short_market_value": "0",
            "initial_margin": dollars(market_value),
            "maintenance_margin": dollars(market_value),
            "last_maintenance_margin": "0",
            "multiplier": "1",
            "accrued_fees": "0",
            "balance_asof": created_at[:10],
            "created_at": created_at,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
            "shorting_enabled": False,
        }


def account_number(kind: str, seed: int) -> str:
    """As the venue numbers its accounts: PA... for paper, digits for live; SIM... is ours. ValueError: others."""
    digits = f"{seed % 10**9:09d}"
    if kind not in ("sim", "paper", "live"):
        raise ValueError(f"an account is sim, paper or live, not {kind!r}")
    return {"sim": f"SIM{digits}", "paper": f"PA3{digits}", "live": digits}[kind]


def position_json(
    position: Position,
    *,
    asset_id: str,
    exchange: str,
    held_for_orders: Decimal,
    price: Decimal,
    last_close: Decimal,
) -> Json:
    """A position as the venue sends it: ``price`` is the last trade, ``last_close`` the previous session's."""
    shares, cost = position.shares, position.shares * position.average
    value = shares * price
    old = shares - position.bought_today
    intraday_cost = old * last_close + position.bought_today * position.average
    return {
        "asset_id": asset_id,
        "symbol": position.symbol,
        "exchange": exchange,
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": f"{shares:f}",
        "qty_available": f"{shares - held_for_orders:f}",
        "avg_entry_price": f"{position.average.quantize(Decimal('0.000001')).normalize():f}",
        "side": "long",
        "market_value": dollars(value),
        "cost_basis": dollars(cost),
        "unrealized_pl": dollars(value - cost),
        "unrealized_plpc": ratio(value - cost, cost),
        "unrealized_intraday_pl": dollars(value - intraday_cost),
        "unrealized_intraday_plpc": ratio(value - intraday_cost, intraday_cost),
        "current_price": f"{price:f}",
        "lastday_price": f"{last_close:f}",
        "change_today": ratio(price - last_close, last_close),
    }


def dollars(amount: Decimal) -> str:
    return f"{amount.quantize(CENT):f}"


def ratio(part: Decimal, whole: Decimal) -> str:
    return f"{(part / whole).quantize(Decimal('0.0000001')):f}" if whole else "0"
