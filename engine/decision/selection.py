"""Which two of the found groups are used: the anti-overfit selection (CONTRACTS, *Scores*).

A search over five days finds the luckiest groups; their own score says little. So a group
is judged by its worst leave-one-day-out mean (no single day may carry it), shrunk toward
the mean of its family by how few picks it rests on. Within one standard error of the best
the fewest members win, because every member is one more thing that was fitted. The second
group must be a real alternative: its 5-day picks overlap the first's by less than one half.

Everything here is in percentage points of mean excess a day; pure, no I/O. Replication on
the hold-out tickers and the permutation p-value stand beside the choice and do not enter it:
they judge what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.decision.guardrails import GuardrailTally
from engine.decision.overlap import jaccard
from engine.decision.permutation_null import ENOUGH_SHUFFLES, SIGNIFICANT, UNMEASURED, Shuffled, p_text
from engine.errors import OperatorError
from engine.model import MICRO, Bools, Ints, ParameterSet, mean_or_zero
from engine.records import FinalGroup, picks_words

SHRINK_PICKS = 40  # 5-day picks at which a group's own mean counts half
REAL_ALTERNATIVE = 0.5  # Jaccard of 5-day picks with the first, strictly below


class NoGroupError(OperatorError):
    """No group passed the guardrails: says which one blocked most and what to change."""


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A found group in the terms of the strategy; sums in micro-percent."""

    members: tuple[ParameterSet, ...]
    score: float  # search objective, percentage points
    day_sums: tuple[int, ...]  # excess
    day_counts: tuple[int, ...]
    pp_sum: int  # PP of all picks
    picks: bytes
    shuffled: Shuffled | None = None  # how it compares with shuffled weeks; None: not measured

    @property
    def day_means(self) -> tuple[float, ...]:
        return tuple(s / (c * MICRO) for s, c in zip(self.day_sums, self.day_counts, strict=True))


@dataclass(frozen=True, slots=True)
class Replication:
    """A group's picks among the hold-out tickers, percentage points; None where there were no picks."""

    mean: float | None  # over the days with picks
    error: float | None  # standard error over those days
    picks: tuple[int, ...]  # a day


def leave_one_out(day_means: Sequence[float]) -> float:
    """The smallest mean that is left when one day is taken away."""
    if len(day_means) < 2:
        raise ValueError("leaving one day out needs two")
    total = math.fsum(day_means)
    return min((total - m) / (len(day_means) - 1) for m in day_means)


def standard_error(day_means: Sequence[float]) -> float:
    """Standard error of the mean over days (sample deviation / sqrt(days))."""
    if len(day_means) < 2:
        raise ValueError("a standard error needs two days")
    mean = mean_or_zero(day_means)
    variance = math.fsum((m - mean) ** 2 for m in day_means) / (len(day_means) - 1)
    return math.sqrt(variance / len(day_means))


def replicate(day_excess: Sequence[Ints], day_picks: Sequence[Bools]) -> Replication:
    """What a group's picks earned among the hold-out tickers.

    ``day_excess[d]`` int64[tickers] micro-percent, ``day_picks[d]`` bool[tickers]. Days
    without picks say nothing and are left out; one day alone has no standard error.
    """
    counts = tuple(int(picks.sum()) for picks in day_picks)
    means = [
        int(excess[picks].sum()) / (count * MICRO)
        for excess, picks, count in zip(day_excess, day_picks, counts, strict=True)
        if count
    ]
    return Replication(
        mean=mean_or_zero(means) if means else None,
        error=standard_error(means) if len(means) > 1 else None,
        picks=counts,
    )


def select_groups(
    groups: Sequence[MeasuredGroup],
    replications: Sequence[Replication] = (),
    *,
    tally: GuardrailTally | None = None,
) -> tuple[FinalGroup, ...]:
    """All groups as records, the selected first and second in front, the others by selection score.

    ``replications`` in the order of ``groups``, or none. Raises NoGroupError, with what
    ``tally`` knows about the guardrails, when there is no group.
    """
    if not groups:
        raise NoGroupError(_why_none(tally))
    if replications and len(replications) != len(groups):
        raise ValueError(f"{len(replications)} replications for {len(groups)} groups")
    judged = _judge(groups, replications)
    first = _first(judged)
    overlaps = [jaccard(picks_words(g.picks), picks_words(judged[first].picks)) for g in judged]
    second = _second(judged, first, overlaps)
    order = sorted(range(len(judged)), key=lambda i: (i != first, i != second, *_preference(judged[i])))
    final = []
    for rank, i in enumerate(order, start=1):
        selected = 1 if i == first else 2 if i == second else None
        group = replace(judged[i], rank=rank, selected=selected, overlap_first=overlaps[i])
        final.append(replace(group, verdict=_verdict(group, judged, first, has_second=second is not None)))
    return tuple(final)


def _judge(groups: Sequence[MeasuredGroup], replications: Sequence[Replication]) -> list[FinalGroup]:
    left_out = [leave_one_out(g.day_means) for g in groups]
    family = mean_or_zero(left_out)
    judged = []
    for i, group in enumerate(groups):
        means, picks = group.day_means, sum(group.day_counts)
        weight = picks / (picks + SHRINK_PICKS)
        replication = replications[i] if replications else Replication(None, None, ())
        judged.append(
            FinalGroup(
                rank=0,
                members=group.members,
                score=group.score,
                mean=mean_or_zero(means),
                deviation=float(np.std(means)),
                day_means=means,
                day_picks=group.day_counts,
                pp_mean=group.pp_sum / (picks * MICRO),
                picks=group.picks,
                leave_one_out=left_out[i],
                selection_score=weight * left_out[i] + (1 - weight) * family,
                standard_error=standard_error(means),
                holdout_mean=replication.mean,
                holdout_error=replication.error,
                holdout_picks=replication.picks,
            )
        )
        if group.shuffled is not None:
            judged[-1] = _with_luck(judged[-1], group.shuffled)
    return judged


def _with_luck(group: FinalGroup, shuffled: Shuffled) -> FinalGroup:
    return replace(
        group,
        p_value=shuffled.p_value,
        shuffles_reached=shuffled.reached,
        shuffles_done=shuffled.done,
        shuffles_planned=shuffled.planned,
        shuffles_certain=shuffled.certain,
        shuffles_bounded=shuffled.bounded,
        shuffles_observed=shuffled.observed,
        shuffles_scope=shuffled.scope,
    )


def shuffled_of(group: FinalGroup) -> Shuffled | None:
    """What the shuffles said of a stored group; None: not measured, or an earlier version kept p alone."""
    reached, done, planned = group.shuffles_reached, group.shuffles_done, group.shuffles_planned
    scope = group.shuffles_scope
    if reached is None or done is None or planned is None or scope is None:
        return None
    return Shuffled(
        reached, done, planned, group.shuffles_certain, group.shuffles_bounded, group.shuffles_observed, scope
    )


def _preference(group: FinalGroup) -> tuple[float, int, float, tuple[tuple[str, tuple[int, ...]], ...]]:
    """Total order of the selection: score, then fewer members, then the search's order."""
    return (
        -group.selection_score,
        len(group.members),
        -group.score,
        tuple((m.algorithm, m.values) for m in group.members),
    )


def _first(groups: Sequence[FinalGroup]) -> int:
    best = min(groups, key=_preference)
    floor = best.selection_score - best.standard_error
    near = [i for i, g in enumerate(groups) if g.selection_score >= floor]
    return min(near, key=lambda i: (len(groups[i].members), *_preference(groups[i])))


def _second(groups: Sequence[FinalGroup], first: int, overlaps: Sequence[float]) -> int | None:
    others = [i for i in range(len(groups)) if i != first and overlaps[i] < REAL_ALTERNATIVE]
    return min(others, key=lambda i: _preference(groups[i]), default=None)


def _verdict(group: FinalGroup, groups: Sequence[FinalGroup], first: int, *, has_second: bool) -> str:
    """Why the group is where it is, in plain words."""
    best = min(groups, key=_preference)
    chosen = groups[first]
    size = f"{len(group.members)} members"
    if group.selected == 1:
        if group.picks == best.picks:
            why = f"trades: the best selection score ({group.selection_score:+.3f}), {size}"
        else:
            why = (
                f"trades: {size}, the fewest within one standard error ({best.standard_error:.3f}) "
                f"of the best selection score ({best.selection_score:+.3f}, {len(best.members)} members)"
            )
        if not has_second:
            why += "; no other group is a real alternative (all share half of its picks or more)"
    elif group.selected == 2:
        why = f"shadow: the best alternative, picks overlap the first by {group.overlap_first:.2f}"
    elif group.overlap_first is not None and group.overlap_first >= REAL_ALTERNATIVE:
        why = f"not selected: picks overlap the first by {group.overlap_first:.2f}"
    else:
        behind = chosen.selection_score - group.selection_score
        where = f"{behind:.3f} behind the first" if behind >= 0 else f"{-behind:.3f} ahead of the first, {size}"
        why = f"not selected: selection score {group.selection_score:+.3f}, {where}"
    return f"{why}; {holdout_text(group)}"


def luck_text(group: FinalGroup, *, short: bool = False) -> str:
    """What the shuffled weeks say of a stored group; ``short`` without what limits it."""
    shuffled = shuffled_of(group)
    if shuffled is not None:
        return shuffled.short if short else shuffled.text
    if group.p_value is None:
        return UNMEASURED
    return f"p = {p_text(group.p_value)} by an earlier version, which did not keep of how many shuffled searches"


def holdout_text(group: FinalGroup) -> str:
    """``hold-out +0.12 ± 0.08 %/day on 41 picks``, or why there is no such number."""
    if not group.holdout_picks:
        return "hold-out not measured"
    total = sum(group.holdout_picks)
    if group.holdout_mean is None:
        return "no pick among the hold-out tickers"
    if group.holdout_error is None:
        return f"hold-out {group.holdout_mean:+.2f} %/day on {total} picks of one day"
    return f"hold-out {group.holdout_mean:+.2f} ± {group.holdout_error:.2f} %/day on {total} picks"


def significant(group: FinalGroup) -> bool:
    """Whether it is better than luck explains: p <= 0.05, on enough shuffles that chose anew as the week did."""
    shuffled = shuffled_of(group)
    if group.p_value is None or shuffled is None or shuffled.scope == "given":
        return False
    return shuffled.settled and group.p_value <= SIGNIFICANT


def judgement(group: FinalGroup) -> str:
    """What luck and hold-out say about a group, as a sentence; the hold-out by mean ± two standard errors."""
    p, mean, error = group.p_value, group.holdout_mean, group.holdout_error
    shuffled = shuffled_of(group)
    if p is None:
        luck = "luck was not measured"
    elif shuffled is None:
        luck = "luck was not counted as it is now"
    elif not shuffled.settled:
        luck = f"luck is not settled (p = {p_text(p)} of {shuffled.done} shuffles, {ENOUGH_SHUFFLES} decide)"
    elif significant(group):
        luck = f"better than luck explains (p = {p:.3f})"
    elif p <= SIGNIFICANT:
        luck = f"luck is understated (p = {p_text(p)}: the variations were chosen on the same days)"
    else:
        luck = f"no better than luck finds (p = {p:.2f})"
    if mean is None or error is None:
        replication = "hold-out says nothing"
    elif mean - 2 * error > 0:
        replication = "hold-out repeats it"
    elif mean + 2 * error < 0:
        replication = "hold-out contradicts it"
    else:
        replication = "hold-out compatible with zero"
    return f"{luck}; {replication}"


def _why_none(tally: GuardrailTally | None) -> str:
    start = "no group of variations passed the guardrails of the search"
    if tally is None:
        return (
            f"{start}: lower search.min_picks, search.min_positive_days or search.day_floor, or train more cycles"
        )
    return f"{start}: {tally.sentence()}"
