"""How often luck alone does as well: the arithmetic of the permutation null, without a search in it.

Under the null what variations pick knows nothing about PP. Then the tickers' PP may be dealt out
anew - one permutation for all five days, inside price brackets, since brackets differ in how far
they move - and the best group of a *shuffled* week is as good as the best of the real one,
provided that it is found by the same procedure. The variations that the search combines were
kept because they did well on exactly these PP, so a shuffled week prunes anew; without that p
would be far too small (``Scope``). Then

    p = (1 + shuffles that reach the score) / (1 + shuffles).

Because each shuffle gives the best of *all* its groups, the p of a group is already
corrected for how many groups were searched. For a group that is not the search's best it is
conservative.

Early stop: once so many shuffles have reached the best score that p > 0.05 whatever the others
give, the rest is spared. Stopping at the h-th that reaches it is the sequential Monte Carlo
test of Besag and Clifford (1991), whose p = h / l is valid; ours is never smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.brackets import BracketTable
from engine.model import Floats, Ints

SIGNIFICANT = 0.05  # p up to here, inclusive
ENOUGH_SHUFFLES = 200  # a group is not called better than luck on fewer
UNMEASURED = "p not measured"
Scope = Literal["given", "tested", "everything"]
"""How much of the real week's work a shuffle repeats.

``given``: the search alone; its variations were chosen on the true PP, so p is too small. ``tested``:
pruner and search; what training proposed, which follows the true PP too, stays. ``everything``: the
same, and training left no parameter set out.
"""
TIE = 1e-9  # percentage points: scores so close are equal, and equal counts against the group


def price_classes(opens: Floats, brackets: BracketTable) -> Ints:
    """The price bracket of each ticker, by its mean open: ``opens`` float64[5, tickers] dollars."""
    floors = np.array([bracket.floor_price for bracket in brackets])
    classes: Ints = np.searchsorted(floors, opens.mean(axis=0), side="right").astype(np.int64)
    return classes


def shuffle(seed: int, number: int, classes: Ints) -> Ints:
    """Whose PP each ticker gets in shuffle ``number`` (1, 2, ...): a permutation inside every class."""
    random = np.random.default_rng((seed, number))
    source = np.arange(len(classes))
    for own in np.unique(classes):
        members = np.flatnonzero(classes == own)
        source[members] = random.permutation(members)
    return source


@dataclass(frozen=True, slots=True)
class Shuffled:
    """What the shuffles say about one group.

    ``reached``: of ``done`` shuffled searches, how many found a group at least as good.
    ``bounded``: the tests that each was limited to, when they did not suffice for all of them.
    """

    reached: int
    done: int
    planned: int
    certain: bool = False  # ended early because p > 0.05 was certain
    bounded: int | None = None
    observed: float | None = None  # the real week's best by the shuffles' procedure; None: it found none
    scope: Scope = "everything"

    @property
    def settled(self) -> bool:
        """Whether so many are done that p may be judged."""
        return self.certain or self.done >= ENOUGH_SHUFFLES

    @property
    def p_value(self) -> float | None:
        """None before the first shuffle."""
        return (1 + self.reached) / (1 + self.done) if self.done else None

    @property
    def text(self) -> str:
        """``better than 183 of 200 shuffled searches: p = 0.09``, with what limits it."""
        if self.p_value is None:
            return UNMEASURED if self.planned == 0 else f"{UNMEASURED}: the budget left no time for shuffles"
        notes = []
        if self.scope == "given":
            notes.append("its variations were chosen on the same days")
        elif self.scope == "tested":
            notes.append("training is not repeated")
        if self.certain:
            notes.append("more shuffles cannot make it significant")
        elif self.done < self.planned:
            notes.append(f"time ended before {self.planned}")
        if self.bounded is not None:
            notes.append(f"each within {self.bounded:,} tests, not all groups")
        note = f" ({'; '.join(notes)})" if notes else ""
        return f"{self.short}{note}"

    @property
    def short(self) -> str:
        """``text`` without the limits; of a p that may not be judged yet how many shuffles it lacks."""
        if self.p_value is None:
            return UNMEASURED
        said = (
            f"better than {self.done - self.reached} of {self.done} shuffled searches: p = {p_text(self.p_value)}"
        )
        if self.scope == "given":
            said += " at least"
        return said if self.settled else f"{said}, {ENOUGH_SHUFFLES} decide"


def p_text(p: float) -> str:
    """``0.09``; three digits where it is significant."""
    return f"{p:.3f}" if p <= SIGNIFICANT else f"{p:.2f}"


def reaches(best: float, score: float) -> bool:
    """Whether a shuffle whose best is ``best`` counts against ``score``."""
    return best >= score - TIE


def hopeless(reached: int, planned: int) -> bool:
    """Whether p > 0.05 whatever the other shuffles give."""
    return (1 + reached) / (1 + planned) > SIGNIFICANT


def enough(best: Sequence[float], score: float, planned: int) -> int | None:
    """After how many shuffles (``best`` in order) p > 0.05 is certain for ``score``; None when it is not."""
    reached = 0
    for done, value in enumerate(best[:planned], start=1):
        reached += reaches(value, score)
        if hopeless(reached, planned):
            return done
    return None


def judge(
    scores: Sequence[float],
    best: Sequence[float],
    observed: float,
    planned: int,
    bounded: int | None,
    scope: Scope = "everything",
) -> tuple[Shuffled, ...]:
    """What the shuffles say about each group.

    ``scores`` of the groups, ``best`` of the shuffles in order, ``observed``: the best of
    the real week by the shuffles' own procedure. A search that looked at more than the
    shuffles did must not profit from it, so no group counts as better than ``observed``.
    """
    if not scores:
        return ()
    highest = min(max(scores), observed)
    end = enough(best, highest, planned)
    used = best[: planned if end is None else end]
    return tuple(
        Shuffled(
            reached=sum(reaches(value, min(score, observed)) for value in used),
            done=len(used),
            planned=planned,
            certain=end is not None and end < planned,
            bounded=bounded,
            observed=observed if math.isfinite(observed) else None,
            scope=scope,
        )
        for score in scores
    )
