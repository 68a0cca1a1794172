"""The watchdog's ledger: whatever is granted, used, donated and received, nothing is lost and nothing made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decision.watchdog import (
    DONATING,
    DONATION_NS,
    EQUAL_SPLIT,
    FIRST_GRANT_NS,
    SECOND,
    Ledger,
    donation,
    pass_allowance,
)

moves = st.lists(
    st.tuples(
        st.sampled_from(["grant", "receive", "use", "donate"]), st.integers(0, 3), st.integers(0, 400_000_000)
    ),
    max_size=80,
)


def play(ledger: Ledger, move: tuple[str, int, int]) -> None:
    name, lane, amount = move
    if name == "donate":
        ledger.donate(lane)
    else:
        {"grant": ledger.grant, "receive": ledger.receive, "use": ledger.use}[name](lane, amount)


@given(moves=moves, budget_s=st.floats(0.001, 3.0))
def test_open_grants_used_and_pool_are_the_capacity_after_every_move(
    moves: list[tuple[str, int, int]], budget_s: float
) -> None:
    ledger = Ledger(4, budget_s)
    for move in moves:
        play(ledger, move)
        assert ledger.open_grants + ledger.used + ledger.pool == ledger.capacity
        assert min(ledger.open_grants, ledger.used, ledger.pool, ledger.overrun) >= 0
        assert all(ledger.lane(lane).open >= 0 for lane in range(4))


@given(moves=moves, evidence=st.lists(st.integers(0, 3_000_000_000), max_size=4))
def test_at_the_end_used_and_saved_are_the_capacity_and_nothing_is_open(
    moves: list[tuple[str, int, int]], evidence: list[int]
) -> None:
    ledger = Ledger(4, 2.0)
    for move in moves:
        play(ledger, move)
    ledger.settle()
    left = ledger.capacity - ledger.used
    assert ledger.open_grants == 0
    assert ledger.saved == left
    overrun = ledger.overrun
    assert ledger.inherit() == left
    for spent in evidence:
        ledger.use_evidence(spent)
        assert ledger.open_grants + ledger.used + ledger.pool == ledger.capacity
        assert min(ledger.open_grants, ledger.pool) >= 0
    ledger.settle()
    assert ledger.open_grants == 0
    assert ledger.used + ledger.saved == ledger.capacity
    sums = ledger.sums()
    assert sums.evidence == pytest.approx(left / SECOND)
    assert sums.evidence_used == pytest.approx(min(left, sum(evidence)) / SECOND)
    assert ledger.overrun - overrun == max(0, sum(evidence) - left)


@given(moves=moves)
def test_time_is_only_charged_once_and_what_exceeds_the_capacity_is_told_apart(
    moves: list[tuple[str, int, int]],
) -> None:
    ledger = Ledger(4, 0.5)
    clock = 0
    for move in moves:
        play(ledger, move)
        clock += move[2] if move[0] == "use" else 0
    assert ledger.used + ledger.overrun == clock


@given(moves=moves)
def test_donations_and_receipts_are_transfers_through_the_pool(moves: list[tuple[str, int, int]]) -> None:
    ledger = Ledger(4, 1.0)
    for move in moves:
        play(ledger, move)
    accounts = [ledger.lane(lane) for lane in range(4)]
    given_out = sum(a.granted + a.received for a in accounts)
    assert ledger.pool == ledger.capacity - given_out + sum(a.donated for a in accounts)


def test_an_anchor_that_closes_early_donates_and_one_that_ran_out_receives() -> None:
    ledger = Ledger(2, 1.0)
    ledger.grant(0, 50)
    ledger.use(0, 20)
    assert ledger.donate(0) == 30
    ledger.grant(1, 50)
    ledger.use(1, 80)  # its slice ran over by 30
    assert ledger.lane(0).donated == 30
    assert ledger.lane(1).received == 30
    assert ledger.lane(1).open == 0


def test_nobody_gets_more_than_the_pool_holds() -> None:
    ledger = Ledger(1, 1.0)
    assert ledger.grant(0, 5 * SECOND) == SECOND
    assert ledger.receive(0, 1) == 0


def test_time_cannot_be_given_back_by_using_it() -> None:
    with pytest.raises(ValueError, match="given back"):
        Ledger(1, 1.0).use(0, -1)


@pytest.mark.parametrize(
    ("threads", "budget_s"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, float("inf")), (1, float("nan"))]
)
def test_a_ledger_without_threads_or_finite_time_is_refused(threads: int, budget_s: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        Ledger(threads, budget_s)


@given(pool=st.integers(0, 10**15), anchors=st.integers(0, 5000), lanes=st.integers(1, 64))
def test_grants_and_donations_never_exceed_the_pool_and_a_donation_is_never_nothing(
    pool: int, anchors: int, lanes: int
) -> None:
    assert 0 <= DONATING.first_grant(pool, anchors) <= min(pool, FIRST_GRANT_NS)
    assert 0 <= EQUAL_SPLIT.first_grant(pool, anchors) <= pool
    assert min(pool, 1) <= donation(pool, lanes) <= min(pool, DONATION_NS)


@given(pool=st.integers(0, 10**15), lanes=st.integers(1, 64), helped=st.integers(0, 1000))
def test_every_round_helps_with_more_than_the_last_until_a_quarter_second(
    pool: int, lanes: int, helped: int
) -> None:
    now, then = donation(pool, lanes, helped), donation(pool, lanes, helped + 1)
    assert min(pool, 1) <= now <= then <= donation(pool, lanes) <= min(pool, DONATION_NS)
    if pool > lanes * DONATION_NS:
        assert now > FIRST_GRANT_NS
        assert then > now or now == DONATION_NS


@given(capacity=st.integers(1, 10**15), share=st.floats(0, 1))
def test_an_early_pass_leaves_most_of_the_time_to_the_deeper_ones(capacity: int, share: float) -> None:
    used = int(capacity * share)
    assert used <= pass_allowance(used, capacity, final=False) <= used + (capacity - used) / 4
    assert pass_allowance(used, capacity, final=True) == capacity
