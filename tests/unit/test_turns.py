"""The lock of a database: urgent ones first, nobody lost, one at a time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.turns import Turns


async def test_an_urgent_turn_goes_before_all_that_wait_but_not_before_the_one_under_way() -> None:
    turns, served, all_wait = Turns(), list[str](), asyncio.Event()

    async def take(name: str, *, urgent: bool = False) -> None:
        async with turns.turn(urgent=urgent):
            served.append(name)
            await all_wait.wait()

    first = asyncio.create_task(take("first"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(take(f"event {n}")) for n in range(3)]
    await asyncio.sleep(0)
    intent = asyncio.create_task(take("intent", urgent=True))
    await asyncio.sleep(0)
    all_wait.set()
    await asyncio.gather(first, *others, intent)
    assert served == ["first", "intent", "event 0", "event 1", "event 2"]


async def test_a_turn_is_given_on_when_its_owner_fails() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.turn():
            raise ValueError("broken")
    async with asyncio.timeout(30), turns.turn():
        pass


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["stay", "leave", "leave when served"])), max_size=12))
def test_whoever_leaves_while_waiting_nobody_else_is_lost_and_no_two_are_served_at_once(
    waiting: list[tuple[bool, str]],
) -> None:
    async def run() -> None:
        turns, inside, served = Turns(), 0, list[int]()

        async def take(number: int, urgent: bool) -> None:
            nonlocal inside
            async with turns.turn(urgent=urgent):
                inside += 1
                assert inside == 1
                served.append(number)
                await asyncio.sleep(0)
                inside -= 1

        async with turns.turn():
            tasks = [asyncio.create_task(take(n, urgent)) for n, (urgent, _) in enumerate(waiting)]
            await asyncio.sleep(0)
            for task, (_, how) in zip(tasks, waiting, strict=True):
                if how == "leave":
                    task.cancel()
        for task, (_, how) in zip(tasks, waiting, strict=True):
            if how == "leave when served":
                task.cancel()  # the turn may have come to it in this very moment
        await asyncio.gather(*tasks, return_exceptions=True)
        assert {n for n, (_, how) in enumerate(waiting) if how == "stay"} <= set(served)
        async with asyncio.timeout(30), turns.turn():
            pass

    asyncio.run(run())
