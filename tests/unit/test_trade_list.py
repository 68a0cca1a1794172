"""The trade list's hash, swap and difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.daily.trade_list import TradeList, build, content_hash, difference, swap
from engine.errors import RefusedError
from engine.qual.combination import Combination, combine
from engine.records import Candidate, QualScore, TradePick
from engine.settings import QualSettings

DAY = date(2026, 11, 23)


def combination(count: int = 6, veto: str = "F") -> Combination:
    rows = [
        Candidate(i + 1, "ABCDEFGHIJ"[i], "", 10.0, 0.9 - i / 20, {"firings": 0.2}, {}, (10.0,))
        for i in range(count)
    ]
    return combine(rows, [QualScore(veto, 0.1, "LEXICON", veto="share offering")], QualSettings(), 4)


def test_the_list_of_the_day_has_the_best_four_and_a_hash() -> None:
    made = build(DAY, combination())
    assert made.symbols == ("A", "B", "C", "D")
    assert len(made.list_hash) == 64
    assert made.short_hash == f"{made.list_hash[:4]}·{made.list_hash[4:8]}"


picks = st.builds(
    TradePick,
    position=st.integers(1, 4),
    symbol=st.text("ABC", min_size=1, max_size=4),
    score=st.floats(-1, 2),
    rank_score=st.floats(0, 1),
    news_score=st.none() | st.floats(-1, 1),
    reason=st.text(max_size=20),
)


@given(rows=st.lists(picks, max_size=4))
def test_the_same_content_has_the_same_hash(rows: list[TradePick]) -> None:
    assert content_hash(DAY, rows) == content_hash(DAY, [replace(p) for p in rows])


@given(rows=st.lists(picks, min_size=1, max_size=4), data=st.data())
def test_any_change_of_a_row_or_the_session_changes_the_hash(rows: list[TradePick], data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(
        st.sampled_from(
            [
                {"symbol": rows[i].symbol + "Z"},
                {"position": rows[i].position + 1},
                {"score": rows[i].score + 0.001},
                {"news_score": 0.5 if rows[i].news_score is None else None},
                {"reason": rows[i].reason + "!"},
            ]
        )
    )
    other = [*rows[:i], replace(rows[i], **change), *rows[i + 1 :]]
    assert content_hash(DAY, other) != content_hash(DAY, rows)
    assert content_hash(date(2026, 11, 24), rows) != content_hash(DAY, rows)
    if rows[0].symbol != rows[-1].symbol:
        assert content_hash(DAY, rows[::-1]) != content_hash(DAY, rows)


def test_a_swap_is_another_list_with_the_operators_choice_in_its_place() -> None:
    whole = combination()
    current = build(DAY, whole)
    swapped = swap(current, "B", "E", whole)
    assert swapped.symbols == ("A", "E", "C", "D")
    assert swapped.list_hash != current.list_hash
    assert swapped.picks[1].position == 2
    assert swapped.picks[1].reason.startswith("operator's choice instead of B; rank 5")


@pytest.mark.parametrize(
    ("out", "into", "words"),
    [
        ("Z", "E", "Z is not on the trade list"),
        ("A", "B", "already on the trade list"),
        ("A", "Q", "not on today's shortlist"),
        ("A", "F", r"vetoed \(share offering\)"),
    ],
)
def test_a_swap_outside_the_rules_is_refused_with_the_reason(out: str, into: str, words: str) -> None:
    whole = combination()
    with pytest.raises(RefusedError, match=words):
        swap(build(DAY, whole), out, into, whole)


def test_fewer_than_four_say_why() -> None:
    assert build(DAY, combination(3)).reason.startswith("3 of 4 names: only 3 candidates")
    nothing = build(DAY, combine([], [], QualSettings(), 4, emptiness="the group buys nothing today"))
    assert (nothing.symbols, nothing.reason) == ((), "the group buys nothing today")
    assert nothing == TradeList.of(DAY, (), "the group buys nothing today")


def test_the_difference_to_yesterday() -> None:
    assert difference(["A", "B"], ["B", "C"]) == "+A -C"
    assert difference(["A"], ["A"]) == "unchanged"
