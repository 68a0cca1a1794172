"""Who gave search time to whom: every nanosecond received has one giver, and none gives more than it has."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.decision.time_flows import BUDGET, KEPT, SAVED, SHUFFLES, TOGETHER_NS, Flow
from engine.decision.watchdog import SECOND, Ledger

moves = st.lists(
    st.tuples(
        st.sampled_from(["grant", "receive", "use", "donate"]), st.integers(0, 3), st.integers(0, 400_000_000)
    ),
    max_size=80,
)


def played(moves: list[tuple[str, int, int]], budget_s: float = 1.0) -> Ledger:
    ledger = Ledger(4, budget_s)
    for name, lane, amount in moves:
        if name == "donate":
            ledger.donate(lane)
        else:
            {"grant": ledger.grant, "receive": ledger.receive, "use": ledger.use}[name](lane, amount)
    return ledger


def sums(flows: tuple[Flow, ...], side: str) -> Counter[int | str]:
    found: Counter[int | str] = Counter()
    for flow in flows:
        found[getattr(flow, side)] += flow.amount
    return found


@given(moves=moves)
def test_what_flowed_to_a_lane_is_what_it_received_and_no_lane_gave_more_than_it_donated(
    moves: list[tuple[str, int, int]],
) -> None:
    ledger = played(moves)
    others = tuple(flow for flow in ledger.flows.totals if flow.giver != flow.taker)
    taken, given_away = sums(others, "taker"), sums(others, "giver")
    for lane in range(4):
        assert taken[lane] == ledger.lane(lane).received
        assert given_away[lane] <= ledger.lane(lane).donated
    assert given_away[BUDGET] <= ledger.capacity


@given(moves=moves)
def test_however_often_time_goes_round_no_lane_donates_or_receives_more_than_there_is(
    moves: list[tuple[str, int, int]],
) -> None:
    ledger = played(moves)
    for lane in range(4):
        account = ledger.lane(lane)
        assert min(account.donated, account.received) >= 0
        assert account.granted + account.received == account.used + account.donated + account.open


def test_what_a_lane_gives_back_and_takes_again_itself_is_neither_donated_nor_received() -> None:
    ledger = Ledger(2, 1.0)
    ledger.receive(0, SECOND // 2)
    for _ in range(1000):
        ledger.donate(0)
        ledger.receive(0, SECOND // 2)
    account = ledger.lane(0)
    assert (account.donated, account.received, account.open) == (0, SECOND // 2, SECOND // 2)


@given(moves=moves, evidence=st.integers(0, 5 * SECOND))
def test_what_the_shuffles_inherit_has_givers_too_and_what_they_leave_is_saved(
    moves: list[tuple[str, int, int]], evidence: int
) -> None:
    ledger = played(moves)
    ledger.settle()
    inherited = ledger.inherit()
    ledger.use_evidence(evidence)
    ledger.settle()
    totals = ledger.flows.totals
    assert sums(totals, "taker")[SHUFFLES] == inherited
    assert sums(totals, "taker")[SAVED] == ledger.saved == max(0, inherited - evidence)


@given(moves=moves)
def test_the_latest_flows_are_few_and_in_the_order_of_time(moves: list[tuple[str, int, int]]) -> None:
    recent = played(moves).flows.recent
    assert len(recent) <= KEPT
    assert [flow.began for flow in recent] == sorted(flow.began for flow in recent)
    assert all(flow.amount > 0 and flow.times >= 1 and flow.at >= flow.began for flow in recent)


def test_help_comes_from_other_lanes_first_then_from_ones_own_then_from_the_budget() -> None:
    ledger = Ledger(2, 1.0)
    for lane, amount in ((0, 100), (1, 40)):
        ledger.grant(lane, amount)
        ledger.donate(lane)
    ledger.receive(0, 200)
    totals = {(flow.giver, flow.taker): flow.amount for flow in ledger.flows.totals}
    assert totals == {(1, 0): 40, (0, 0): 100, (BUDGET, 0): 60}
    assert [(flow.giver, flow.taker) for flow in ledger.flows.recent] == [(1, 0)]  # the only gift of another


def test_gifts_of_one_moment_are_one_and_later_ones_another() -> None:
    ledger = Ledger(2, 10.0)
    for spent in (0, TOGETHER_NS // 2, 2 * TOGETHER_NS):
        ledger.use(1, spent)
        ledger.grant(0, 100)
        ledger.donate(0)
        ledger.receive(1, 100)
        ledger.donate(1)
    assert [(flow.giver, flow.taker, flow.times) for flow in ledger.flows.recent] == [(0, 1, 2), (0, 1, 1)]
    given = next(flow for flow in ledger.flows.totals if (flow.giver, flow.taker) == (0, 1))
    assert (given.times, given.amount) == (3, 300)
