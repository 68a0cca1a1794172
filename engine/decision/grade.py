"""How much money a group's evidence allows: grades A, B, C and D (CONTRACTS, *Evidence*).

The unit is the ledger week: one number a week, the mean excess a day of all candidates by TSH's
pessimistic path, net of costs. Days of a week and tickers of a day share their market; pooled
as if they were independent they would decide within days. The bounds are Student's one-sided
ones over the weeks, mean +- t(n - 1) s / sqrt(n).

D is asked first: a negative hold-out, or an upper bound below zero, outweighs what else looks
good. A bound that lies on zero decides nothing. Advice binds on a live account alone; simulated
and paper trading go on whatever it says, because that is where the ledger grows. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from engine.decision.permutation_null import SIGNIFICANT
from engine.model import Mode, mean_or_zero
from engine.student_t import one_sided_quantile

Letter = Literal["A", "B", "C", "D"]

BEST_WEEKS, LEAST_WEEKS = 12, 8  # ledger weeks that A, and B, need
BEST_LEVEL, LEVEL = 0.95, 0.80  # of the one-sided bounds of A, and of B and D
SIZES: dict[Letter, float] = {"A": 1.0, "B": 0.5, "C": 0.0, "D": 0.0}
# What trades against the advice, by an acknowledgement: never more than the least size that is advised.
AGAINST_ADVICE = 0.5
ADVICE: dict[Letter, str] = {"A": "full size", "B": "half size", "C": "paper only", "D": "no trade"}
ON_ZERO = 1e-9  # percent a day: a bound so close to zero lies on it
MOST_WEEKS = 1000  # more are not told
# EVIDENCE, breadth: candidates a day and the weeks that show a true excess of WORTHWHILE with 80 % power.
WORTHWHILE = 0.10  # percent a day
BREADTH = ((4, 466), (20, 104), (100, 33))


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict on one frozen group; excess in percent a day, None while there are too few weeks for it."""

    letter: Letter
    mode: Mode
    weeks: int
    mean: float | None
    low_95: float | None  # one-sided bounds of the mean
    low_80: float | None
    high_80: float | None
    needed: int | None  # more weeks until B could be given, of a C; None: no C, or more than MOST_WEEKS
    standing: str  # the grade in a word or two
    reason: str  # why this one and no better one

    @property
    def advised(self) -> float:
        """The share of the usual size that the advice allows with real money: 1, one half, or nothing."""
        return SIZES[self.letter]

    @property
    def against(self) -> bool:
        """Whether trading now would be against the advice."""
        return self.mode is Mode.LIVE and self.advised == 0.0

    @property
    def factor(self) -> float:
        """What multiplies the allocation of an approved list in this mode."""
        if self.mode is not Mode.LIVE:
            return 1.0
        return self.advised or AGAINST_ADVICE

    @property
    def advice(self) -> str:
        return ADVICE[self.letter]

    @property
    def text(self) -> str:
        """``grade C, undecided; ledger 3 of 12 weeks: paper only``."""
        weeks = f"{self.weeks} of {BEST_WEEKS} weeks" if self.weeks < BEST_WEEKS else f"{self.weeks} weeks"
        return f"grade {self.letter}, {self.standing}; ledger {weeks}: {self.advice}"


def grade(
    weeks: Sequence[float],
    holdout: float | None,
    p_value: float | None = None,
    *,
    p_decided: bool = False,
    mode: Mode,
    breadth: float = 0.0,
) -> Grade:
    """The grade of a group.

    ``weeks``: each counted ledger week's mean excess a day. ``holdout``: mean excess among the
    hold-out tickers. ``p_decided``: ``p_value`` counts (enough shuffles, or more could not
    change it). ``breadth``: candidates a day.
    """
    count = len(weeks)
    mean = mean_or_zero(weeks) if weeks else None
    reach_95, reach_80 = _reach(weeks, BEST_LEVEL), _reach(weeks, LEVEL)
    low_95 = None if mean is None or reach_95 is None else mean - reach_95
    low_80 = None if mean is None or reach_80 is None else mean - reach_80
    high_80 = None if mean is None or reach_80 is None else mean + reach_80
    lacks = _lacks(count, low_95, holdout, p_value, p_decided)
    letter: Letter = "C"
    needed: int | None = None
    if holdout is not None and holdout < 0:
        letter, standing, reason = "D", "hold-out negative", f"hold-out {holdout:+.2f} %/day"
    elif high_80 is not None and high_80 < -ON_ZERO:
        letter, standing, reason = "D", "ledger negative", f"upper 80 % bound {high_80:+.2f} %/day"
    elif not lacks:
        letter, standing = "A", "confirmed"
        reason = f"lower 95 % bound {low_95:+.2f} %/day, p = {p_value:.3f}"
    elif count >= LEAST_WEEKS and low_80 is not None and low_80 > ON_ZERO:
        letter, standing = "B", "probable"
        reason = f"lower 80 % bound {low_80:+.2f} %/day; for A {lacks}"
    else:
        standing = "undecided"
        needed, reason = _still_needed(weeks, mean, breadth)
    if letter == "C" and mean is not None and low_80 is not None and high_80 is not None:
        reason = f"{mean:+.2f} %/day, 80 % bounds {low_80:+.2f} and {high_80:+.2f}; {reason}"
    return Grade(letter, mode, count, mean, low_95, low_80, high_80, needed, standing, reason)


def _lacks(count: int, low_95: float | None, holdout: float | None, p: float | None, p_decided: bool) -> str:
    """What is missing for an A, the first thing in words; "" when nothing is."""
    if count < BEST_WEEKS:
        return f"{BEST_WEEKS - count} more weeks"
    if low_95 is None or low_95 <= ON_ZERO:
        return f"the lower 95 % bound is {low_95 or 0.0:+.2f}"
    if holdout is None or holdout <= 0:
        return "the hold-out is not positive" if holdout is not None else "there is no hold-out"
    if p is None or not p_decided:
        return "p is not decided"
    return "" if p <= SIGNIFICANT else f"p = {p:.2f} is above {SIGNIFICANT:g}"


def _reach(weeks: Sequence[float], level: float) -> float | None:
    """How far a one-sided bound lies from the mean; None below two weeks."""
    if len(weeks) < 2:
        return None
    return one_sided_quantile(level, len(weeks) - 1) * _deviation(weeks) / math.sqrt(len(weeks))


def _deviation(weeks: Sequence[float]) -> float:
    mean = mean_or_zero(weeks)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in weeks) / (len(weeks) - 1))


# --- how long it may still take ------------------------------------------------------------------


def _still_needed(weeks: Sequence[float], mean: float | None, breadth: float) -> tuple[int | None, str]:
    """More weeks until B could be given, and the sentence.

    At the mean and spread seen so far; without two weeks, or with a mean that speaks against the
    group, by the measured breadth table. Weeks that do not speak for it bring no B nearer.
    """
    if mean is not None and len(weeks) > 1 and mean > ON_ZERO:
        total = weeks_for_verdict(mean, _deviation(weeks))
        if total is None:
            return None, f"more than {MOST_WEEKS:,} weeks at this mean and spread"
        return total - len(weeks), f"about {total - len(weeks)} more weeks at this mean and spread"
    counted = len(weeks) if len(weeks) < 2 else 0
    needed = max(LEAST_WEEKS, weeks_by_breadth(breadth)) - counted
    names = f"{max(1, round(breadth))} candidates a day" if breadth else "few candidates a day"
    return needed, f"about {needed} more weeks show a true {WORTHWHILE:+.2f} %/day with {names}"


def weeks_for_verdict(mean: float, deviation: float) -> int | None:
    """The fewest weeks, at least LEAST_WEEKS, after which the lower 80 % bound would be above zero.

    ``mean`` (above zero) and ``deviation`` of weeks in percent a day. None: more than MOST_WEEKS.
    """

    def decided(count: int) -> bool:
        return mean - one_sided_quantile(LEVEL, count - 1) * deviation / math.sqrt(count) > ON_ZERO

    if not decided(MOST_WEEKS):
        return None
    low, high = LEAST_WEEKS, MOST_WEEKS  # t and 1 / sqrt(n) both fall with n: decided once, decided for ever
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle + 1, high)
    return low


def weeks_by_breadth(candidates: float) -> int:
    """Weeks that show WORTHWHILE at so many candidates a day: log-log between the table's rows, else its ends."""
    rows = BREADTH
    if candidates <= rows[0][0]:
        return rows[0][1]
    for (few, more_weeks), (many, fewer_weeks) in pairwise(rows):
        if candidates <= many:
            share = math.log(candidates / few) / math.log(many / few)
            return math.ceil(math.exp((1 - share) * math.log(more_weeks) + share * math.log(fewer_weeks)) - 1e-9)
    return rows[-1][1]
