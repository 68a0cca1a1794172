"""What the account holds and orders that this program cannot read: shown as foreign, in nobody's way.

The rows are put into the answers that the real client got from the simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from execution_rig import Rig, rig, until

from engine.brackets import Bracket
from engine.broker.broker_types import BrokerOrder
from engine.broker.errors import BrokerUnavailable
from engine.execution.account_look import look
from engine.execution.flatten import flatten_without_engine

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
# An option order of several legs, as the broker lists it: the symbols and sides are those of its legs.
MULTI_LEG = {
    "id": "mleg-1", "client_order_id": "by-hand-1", "symbol": None, "side": None, "type": "limit", "status": "new",
    "qty": "1", "filled_qty": "0", "time_in_force": "day", "submitted_at": "2026-11-23T15:00:00Z",
    "order_class": "mleg",
}  # fmt: skip


class Odd:
    """Rows that the account's answers have besides the simulator's."""

    def __init__(self, r: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.orders: list[dict[str, Any]] = []
        self.positions: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda rows: rows
        client = r.rest._trading_client
        get, positions, send = client.get, client.get_all_positions, r.rest._lane.send

        def odd_get(path: str, *rest: Any, **more: Any) -> Any:
            found = get(path, *rest, **more)
            return [*found, *self.orders] if path == "/orders" else found

        async def odd_send(method: str, path: str, *rest: Any) -> Any:
            order_id = path.removeprefix("/orders/")
            if method != "DELETE" or not any(row["id"] == order_id for row in self.orders):
                return await send(method, path, *rest)
            self.orders = [row for row in self.orders if row["id"] != order_id]
            return None

        monkeypatch.setattr(client, "get", odd_get)
        monkeypatch.setattr(client, "get_all_positions", lambda: self.positions(list(positions())))
        monkeypatch.setattr(r.rest._lane, "send", odd_send)


async def test_an_order_that_cannot_be_read_is_foreign_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        odd = Odd(r, monkeypatch)
        odd.orders = [MULTI_LEG]
        report = await r.desk.reconcile()
        assert report.clean
        assert report.foreign == ("an order that cannot be read (mleg-1)",)
        assert (await r.enter(r.names[:1])).entered == r.names[:1]
        await r.protected()
        view = await r.desk.flatten("anna")
        assert view.state == "flat"
        assert view.foreign == ("an order that cannot be read (mleg-1)",)
        assert await r.rest.positions() == []
        everything = await r.desk.flatten("anna", include_foreign=True)
        assert everything.state == "flat"
        assert odd.orders == []  # and not before it was cancelled too


async def test_while_a_strangers_unreadable_order_is_open_the_account_is_not_flat_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as r:
        odd = Odd(r, monkeypatch)
        odd.orders = [MULTI_LEG | {"id": None}]  # nobody can even cancel it
        one = await flatten_without_engine(r.rest, r.home, False, lambda view: None, patience_s=20)
        assert one.state == "flat"
        everything = await flatten_without_engine(
            r.rest, r.home, True, lambda view: None, patience_s=2, pause_s=0.2
        )
        assert everything.state == "failed"


async def test_an_order_of_ours_that_cannot_be_read_is_never_overlooked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as r:
        odd = Odd(r, monkeypatch)
        odd.orders = [MULTI_LEG | {"client_order_id": f"tsh-{r.home.id8}-20261123-ABCD-entry-1"}]
        report = await r.desk.reconcile()
        assert not report.clean
        assert "could not be asked" in report.detail
        with pytest.raises(BrokerUnavailable):
            await look(r.rest, r.home.id8, r.clock.now(), include_foreign=False)


async def test_a_strangers_position_that_cannot_be_read_is_foreign_and_one_of_ours_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        odd = Odd(r, monkeypatch)
        strange = {"symbol": "XYZ261218C00100000", "qty": None}
        odd.positions = lambda rows: [*rows, strange]
        await r.enter(r.names[:1])
        await r.protected()
        report = await r.desk.reconcile()
        assert report.clean
        assert report.foreign == ("XYZ261218C00100000 (cannot be read)",)
        seen = await look(r.rest, r.home.id8, r.clock.now(), include_foreign=False)
        assert [p.symbol for p in seen.positions] == [r.names[0]]
        assert seen.foreign == ("XYZ261218C00100000, a position that cannot be read",)
        assert not (await look(r.rest, r.home.id8, r.clock.now(), include_foreign=True)).flat
        odd.positions = lambda rows: [{**row, "qty": "many"} for row in rows]
        held = r.desk.book.shares(r.names[0])
        for _ in range(4):
            assert not (await r.desk.reconcile()).clean
        assert r.desk.book.shares(r.names[0]) == held  # what cannot be read is not gone
        with pytest.raises(BrokerUnavailable):
            await look(r.rest, r.home.id8, r.clock.now(), include_foreign=False)
        odd.positions = lambda rows: rows
        await until(lambda: r.desk.is_clean, "clean again")


async def test_with_all_the_broker_itself_closes_a_position_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as r:
        odd = Odd(r, monkeypatch)
        odd.positions = lambda rows: [{**row, "avg_entry_price": "n/a"} for row in rows]
        await r.go_to(r.session.open + timedelta(minutes=1))
        body = {"symbol": r.names[5], "qty": "5", "side": "buy", "type": "market", "time_in_force": "day"}
        r.sim.request("POST", "/v2/orders", body)
        await until(lambda: r.sim.request("GET", "/v2/positions"), "the stranger's shares")
        view = await r.desk.flatten("anna", include_foreign=True)
        assert view.state == "flat"
        assert r.sim.request("GET", "/v2/positions") == []


@pytest.mark.parametrize("lost", ["id", "symbol", "side", "type", "status", "time_in_force", "submitted_at"])
@pytest.mark.parametrize("value", [None, 7, ["x"], "x" * 300])
def test_whatever_an_order_lacks_it_is_somebody_elses_or_an_error(lost: str, value: object) -> None:
    row = {**MULTI_LEG, "symbol": "ABCD", "side": "sell", lost: value}
    order = BrokerOrder.of_account(row)
    assert (order.readable, order.ended) == (False, False)
    assert BrokerOrder.of_account(row) == order  # the same order at every look
    with pytest.raises(ValueError, match="not a"):
        BrokerOrder.of_account({**row, "client_order_id": "tsh-0123abcd-20261123-ABCD-exit-1"})
