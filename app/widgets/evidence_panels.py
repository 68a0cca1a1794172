"""The evidence screen's panels: what is known of the selected groups beyond their own five days."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets import plot
from app.widgets.box import EMPTY, Box, Line, fitted, flowed, joined, plain
from app.widgets.groups_panels import p_text
from app.widgets.search_panels import unproven
from app.widgets.table import Column, Table, chosen_columns, header_line, row_line
from engine.views import ForwardRow, GroupRow, GroupsView

LETTERS = {1: "A", 2: "B"}


def selected_of(view: GroupsView) -> list[GroupRow]:
    """A, then B."""
    return sorted((row for row in view.groups if row.selected), key=lambda row: row.selected or 9)


class VerdictPanel(Box):
    """Group A and group B: p, the hold-out as an interval around zero, overlap, and a sentence."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("group", "group", 9, 1),
        Column("p", "p", 5, 1, right=True),
        Column("holdout", "hold-out %/day", 14, 1, right=True),
        Column("interval", "", 16, 2, most=48),
        Column("picks", "picks", 6, 4, right=True),
        Column("overlap", "overlap %", 9, 3, right=True),
        Column("mean", "own week %/day", 14, 5, right=True),
        Column("members", "members", 24, 6, most=60),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Verdict", id=id)
        self._rows: list[GroupRow] = []

    def show(self, view: GroupsView) -> None:
        self._rows = selected_of(view)
        self.note = plain("interval: mean ± 2 standard errors", "dim") if self._rows else EMPTY
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        if not self._rows:
            return [
                plain("no group is selected, so there is nothing to judge", "dim"),
                (("w", "key:weekend"), (" runs the weekend; its last step selects two groups", "dim")),
            ]
        columns = chosen_columns(self.COLUMNS, width)
        ends = [
            abs(r.holdout_mean) + 2 * (r.holdout_error or 0.0) for r in self._rows if r.holdout_mean is not None
        ]
        reach = 1.1 * max(ends, default=1.0) or 1.0
        titled = [(_titled(column, size, reach), size) for column, size in columns]
        lines = [header_line(titled)]
        for row in self._rows:
            lines.append(row_line(columns, [self._cell(row, c.key, size, reach) for c, size in columns]))
        for row in self._rows:
            letter = LETTERS.get(row.selected or 0, "")
            words = f.wrapped(row.judgement or "not judged: this search is of an earlier version", width - 3, 2)
            lines.append(((f"{letter}  ", "accent"), (words[0], "strong")))
            lines += [plain("   " + piece, "strong") for piece in words[1:]]
            luck = re.sub(r": p = [0-9.]+", "", row.luck)  # the column says it
            lines.append(plain("   " + (luck if len(luck) <= width - 3 else luck.partition(" (")[0]), "dim"))
        return lines

    def _cell(self, row: GroupRow, column: str, width: int, reach: float) -> Line:
        mean, error = row.holdout_mean, row.holdout_error
        match column:
            case "group":
                role = {1: " trades", 2: " shadow"}.get(row.selected or 0, "")
                return ((LETTERS.get(row.selected or 0, ""), "accent"), (role, "text"))
            case "p":
                return plain(p_text(row), "strong")
            case "holdout":
                if mean is None:
                    return plain(f.UNKNOWN, "dim")
                return plain(f.signed(mean) + ("" if error is None else f" ± {error:.2f}"))
            case "interval":
                if mean is None or error is None:
                    return plain("no interval", "dim")
                return tuple(plot.interval(mean, error, width, -reach, reach))
            case "picks":
                return plain(f.count(row.holdout_picks) if mean is not None else f.UNKNOWN)
            case "overlap":
                return plain(f.UNKNOWN if row.overlap is None or row.selected == 1 else f"{row.overlap:.0%}"[:-1])
            case "mean":
                return plain(f.signed(row.mean_day), "dim")
            case _:
                return plain(" ".join(row.members.split()), "dim")


def _titled(column: Column, width: int, reach: float) -> Column:
    """The interval's header is its axis: both ends, and zero in the middle."""
    if column.key != "interval":
        return column
    left, right = f"{-reach:+.2f}", f"{reach:+.2f}"
    before = max(1, width // 2 - len(left))
    title = left + " " * before + "0" + " " * max(1, width - len(left) - before - 1 - len(right)) + right
    return Column(column.key, title[:width], width, column.importance)


class ShufflesPanel(Box):
    """The best groups of the shuffled weeks, and where the real week's best lies among them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Luck: best of each shuffled week", id=id)
        self._view = GroupsView()

    def show(self, view: GroupsView) -> None:
        self._view = view
        done = len(view.shuffle_scores)
        self.note = ((f"{f.count(done)}", "strong"), (" shuffles, score in pp", "dim")) if done else EMPTY
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if not view.shuffle_scores or view.observed is None:
            why = "the search was stored without the scores of its shuffles" if view.proven else ""
            if view.shuffles_done == 0:
                why = "no week was shuffled: search.permutations is 0, or the budget left no time"
            if not view.groups:
                why = "each shuffled week's best group is counted here once the search has ended"
            return [plain(piece, "dim") for piece in f.wrapped(why or "no scores are known", width, 3)]
        beaten = sum(score < view.observed for score in view.shuffle_scores)
        lines = plot.histogram(
            view.shuffle_scores,
            view.observed,
            width,
            max(6, self.size.height - 3),
            number=lambda value: f.signed(value, 3),
            name="this week",
        )
        said: Line = (
            ("luck alone did as well in ", "dim"),
            (f"{f.count(len(view.shuffle_scores) - beaten)} of {f.count(len(view.shuffle_scores))}", "strong"),
            (" shuffled weeks", "dim"),
        )
        return [*lines, fitted(said, width)]


class ProofPanel(Box):
    """How complete the search was: without a proof another group may be better."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("The search behind them", id=id)
        self._view = GroupsView()

    def show(self, view: GroupsView) -> None:
        self._view = view
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        view = self._view
        if not view.anchors and not view.groups:
            return [plain("no search has run", "dim")]
        if view.proven:
            mark, text = ("✓ ", "accent"), "proven: no group of these variations scores higher"
        elif open_ := unproven(view):
            mark, text = ("! ", "warn"), f"not proven: {open_}"
        else:
            mark, text = ("○ ", "dim"), "not finished"
        numbers: list[Line] = [
            (("anchors closed ", "dim"), (f"{f.count(view.anchors_closed)} / {f.count(view.anchors)}", "strong")),
            (("groups visited ", "dim"), (f.metric(view.visited), "strong")),
            (("tests ", "dim"), (f.metric(view.tests), "strong")),
            (("time ", "dim"), (f.amount(view.elapsed_s), "strong")),
        ]
        verdict = [plain(piece) for piece in f.wrapped(text, width - 2, 3)]
        caution = (
            "A best group of five days is mostly luck: it was chosen because it was best. What counts is the "
            "hold-out (tickers never trained on, same days) and, over the weeks, what its candidates then earned."
        )
        return [
            (mark, *verdict[0]),
            *((("  ", "text"), *line) for line in verdict[1:]),
            *flowed(numbers if view.anchors else numbers[1:], width, "   "),
            EMPTY,
            *(plain(piece, "dim") for piece in f.wrapped(caution, width, 6)),
        ]


class ForwardTable(Table[ForwardRow]):
    """What the frozen groups earned in the weeks after they were chosen: the only evidence that grows."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("week", "week", 10, 1),
        Column("group", "group", 5, 1),
        Column("source", "source", 12, 3),
        Column("sessions", "sessions", 8, 4, right=True),
        Column("candidates", "candidates", 10, 5, right=True),
        Column("pp", "PP excess %/day", 17, 1, right=True),
        Column("tsh", "TSH excess %/day", 17, 2, right=True),
        Column("traded", "traded live %/day", 17, 7, right=True),  # beside all candidates, where there is room
        Column("interval", "", 20, 6, most=60),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Forward ledger and walk-forward", id=id)
        self.can_focus = True
        self._reach = 1.0

    def show_rows(self, rows: Sequence[ForwardRow]) -> None:
        self._reach = max((abs(r.pp_excess) + 2 * (r.pp_error or 0.0) for r in rows), default=1.0) * 1.1 or 1.0
        weeks = len({row.week for row in rows})
        self.note = joined([plain(f"{weeks} weeks", "strong"), self._mean(rows)], "   ") if rows else EMPTY
        self.empty = [
            plain("no week was judged forward yet: nothing speaks for real money", "text"),
            plain("stay on paper until some are", "text"),
            plain("each traded week of A and each shadow week of B gets a line, newest last", "dim"),
        ]
        self.show(rows)

    @staticmethod
    def _mean(rows: Sequence[ForwardRow]) -> Line:
        own = [row.pp_excess for row in rows if row.group == "A"]
        return plain(f"A {f.signed(sum(own) / len(own))} %/day in the mean", "dim") if own else EMPTY

    def key(self, row: ForwardRow) -> str:
        return f"{row.week} {row.group} {row.source}"

    def cell(self, row: ForwardRow, column: str, width: int) -> Line:
        match column:
            case "week":
                return plain(row.week.isoformat())
            case "group":
                return plain(row.group, "accent")
            case "source":
                return plain(row.source, "dim")
            case "sessions":
                return plain(str(row.sessions))
            case "candidates":
                return plain(f.count(row.candidates))
            case "pp":
                return plain(_with_error(row.pp_excess, row.pp_error), "strong")
            case "tsh":
                return plain(_with_error(row.tsh_excess, row.tsh_error))
            case "traded":
                if row.traded_live_excess is None:
                    return plain(f.UNKNOWN, "dim")
                return plain(f"{f.signed(row.traded_live_excess)} of {row.traded}")
            case _:
                if row.pp_error is None:
                    return plain("no interval", "dim")
                return tuple(plot.interval(row.pp_excess, row.pp_error, width, -self._reach, self._reach))


def _with_error(mean: float, error: float | None) -> str:
    return f.signed(mean) + ("" if error is None else f" ± {error:.2f}")
