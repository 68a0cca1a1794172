"""Orders whose request got no answer: whenever it arrives no share is sold twice, and nothing else waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from execution_rig import Rig, rest_of, rig, until

from engine.brackets import Bracket
from engine.broker.alpaca_rest import AlpacaRest
from engine.broker.credentials import Credentials
from engine.broker.endpoints import Endpoints
from engine.events import AlertRaised
from engine.execution.flatten import flatten_without_engine
from engine.settings import BrokerSettings

NEVER = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
ORDERS = {"method": "POST", "path": "/v2/orders"}
QUICK = {"timeout_s": 1.0}
LATE_S = 9.0  # after the timeout and every look-up


def answers(r: Rig, symbol: str, leg: str) -> list[tuple[str, int, int | None]]:
    """(id, HTTP status, code) of every sale of ``leg`` that the venue received."""
    found = [line for line in r.sent() if f"-{symbol}-{leg}" in line["body"]["client_order_id"]]
    return [(n["body"]["client_order_id"], n["http"], (n["result"] or {}).get("code")) for n in found]


async def late(r: Rig, symbol: str, leg: str, requests: int) -> list[tuple[str, int, int | None]]:
    """The answers to all sales of ``leg``, once the late request has arrived too."""
    await until(lambda: len(answers(r, symbol, leg)) == requests, "the late request", 2 * LATE_S)
    return answers(r, symbol, leg)


async def test_an_exit_that_arrives_after_its_look_ups_sells_once(tmp_path: Path) -> None:
    async with rig(tmp_path, broker=QUICK, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        r.sim.fault("slow", **ORDERS, seconds=LATE_S, times=1)
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "sold")
        (first, taken, _), (second, refused, code) = await late(r, r.names[0], "exit", 2)
        assert first == second
        assert (taken, refused, code) == (200, 422, 40010001)  # by its id, not for want of shares
        assert await r.rest.positions() == []
        assert [t.reason for t in r.desk.book.closed] == ["MANUAL"]


async def test_a_stop_in_doubt_exists_before_the_exit_takes_it_away(tmp_path: Path) -> None:
    """Otherwise it could arrive when the shares are sold, and rest there without them."""
    async with rig(tmp_path, broker=QUICK, brackets=(NEVER,)) as r:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        (stop,) = (o for o in r.sim.state()["orders"] if (o["type"], o["status"]) == ("stop", "new"))
        r.sim.fault("slow", **ORDERS, seconds=LATE_S, times=1)
        await asyncio.to_thread(r.sim.request, "DELETE", f"/v2/orders/{stop['id']}")
        await until(lambda: any(o.sending for o in r.desk.desk.open_orders(symbol)), "the next stop is on its way")
        await r.desk.exit_one(symbol, "anna")
        await until(lambda: not r.desk.book.open_holdings(), "sold")
        _, (second, taken, _), (again, refused, code) = await late(r, symbol, "stop", 3)
        assert second == again
        assert (taken, refused, code) == (200, 422, 40010001)
        assert [status for _, status, _ in answers(r, symbol, "exit")] == [200]
        assert await r.rest.positions() == []
        assert await r.rest.orders("open") == []


async def test_an_engine_that_died_over_its_sale_sends_it_again_under_the_same_id(tmp_path: Path) -> None:
    async with rig(tmp_path, broker=QUICK, brackets=(NEVER,)) as r:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        r.sim.fault("slow", **ORDERS, seconds=LATE_S, times=1)
        await r.desk.exit_one(symbol, "anna")
        await until(lambda: any(o.sending for o in r.desk.desk.open_orders(symbol)), "the sale is on its way")
        r.kill_desk()
        desk = await r.restarted()
        await until(lambda: not desk.book.open_holdings(), "sold")
        (first, taken, _), (second, refused, code) = await late(r, symbol, "exit", 2)
        assert first == second
        assert (taken, refused, code) == (200, 422, 40010001)


async def test_tshc_flatten_sends_a_sale_without_an_answer_again_under_the_same_id(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        symbol = r.names[0]
        await r.enter((symbol,))
        await r.protected()
        r.kill_desk()
        r.sim.fault("slow", **ORDERS, seconds=4.0, times=1)
        rest = rest_of(r.sim, **QUICK)
        view = await flatten_without_engine(rest, r.home, False, lambda view: None, pause_s=0.1)
        await rest.close()
        assert view.state == "flat"
        (first, taken, _), (second, refused, code) = await late(r, symbol, "flatten", 2)
        assert first == second
        assert (taken, refused, code) == (200, 422, 40010001)
        assert await r.rest.positions() == []


async def test_an_order_in_doubt_keeps_flatten_from_its_own_symbol_alone(tmp_path: Path) -> None:
    """Look-ups fail while lists work: the other name is sold, and nothing is called flat."""
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        doubtful, other = r.names[:2]
        await r.enter((doubtful, other))
        await r.protected()
        r.sim.fault("answer", method="GET", path="/v2/orders:by_client_order_id", status=500, times=1000)
        r.sim.fault("hang_up", **ORDERS, times=1)
        await r.desk.exit_one(doubtful, "anna")
        await until(lambda: r.desk.desk.unresolved(), "a sale in doubt")
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        await until(lambda: r.desk.book.shares(other) == 0, "the other name is sold")
        await asyncio.sleep(2.0)
        assert r.desk.flatten_view().state == "running"
        assert any("no answer yet" in row.step for row in r.desk.flatten_view().rows)
        r.sim.clear_faults()
        assert (await flattening).state == "flat"
        assert await r.rest.positions() == []
        names = {name for name, status, _ in answers(r, doubtful, "") if status == 200}
        assert not any("-flatten-" in name for name in names)  # the sale in doubt was sent again, none beside it


async def test_a_sale_without_an_answer_does_not_keep_flatten_from_the_other_names(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        first, second = sorted(r.names[:2])
        await r.enter((first, second))
        await r.protected()
        r.sim.fault("slow", **ORDERS, seconds=6.0, times=1)
        flattening = asyncio.create_task(r.desk.flatten("anna"))
        await until(lambda: 0 in (r.desk.book.shares(first), r.desk.book.shares(second)), "one of them is sold")
        assert r.sim.state()["held_back"] == 1  # and the other's sale has not even arrived
        assert r.desk.flatten_view().state == "running"
        assert (await flattening).state == "flat"
        assert [status for _, status, _ in answers(r, first, "flatten") + answers(r, second, "flatten")] == [
            200,
            200,
        ]


async def test_sales_say_that_they_close_and_an_account_that_may_sell_short_is_an_alarm(tmp_path: Path) -> None:
    async with rig(tmp_path, brackets=(NEVER,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "sold")
        meant = {(n["body"]["side"], n["body"].get("position_intent")) for n in r.sent()}
        assert meant == {("buy", None), ("sell", "sell_to_close")}
        assert not [a for a in r.told.of(AlertRaised) if a.key == "short-sales"]
        await r.desk.stop()

        async with ClientSession() as venue:

            async def passed_on(request: web.Request) -> web.Response:
                """The venue's answers, but for an account that may sell short."""
                headers = {k: v for k, v in request.headers.items() if k.startswith("APCA")}
                where = f"{r.sim.rest_url}{request.rel_url}"
                async with venue.request(
                    request.method, where, data=await request.read(), headers=headers
                ) as reply:
                    body: Any = await reply.json()
                    if request.path == "/v2/account":
                        body["shorting_enabled"] = True
                    return web.json_response(body, status=reply.status)

            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", passed_on)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            addresses = Endpoints.of_simulator(url, r.sim.trade_stream_url, r.sim.price_stream_url)
            ordinary = r.rest
            r.rest = AlpacaRest(BrokerSettings(), addresses, Credentials(r.sim.key, r.sim.secret))
            desk = await r.restarted()
            assert [a for a in r.told.of(AlertRaised) if a.key == "short-sales"]
            await desk.stop()
            await r.rest.close()
            r.rest = ordinary
            await runner.cleanup()
