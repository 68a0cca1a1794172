"""The evidence screen's panels: what is known of the selected groups beyond their own five days."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets import plot
from app.widgets.box import EMPTY, Box, Line, fitted, flowed, plain
from app.widgets.groups_panels import p_text
from app.widgets.search_panels import unproven
from app.widgets.table import Column, Table, chosen_columns, header_line, row_line
from engine.views import ForwardRow, GradeView, GroupRow, GroupsView

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
        self._grade = GradeView()

    def show(self, view: GroupsView, grade: GradeView) -> None:
        self._rows, self._grade = selected_of(view), grade
        self.note = plain("± one standard error, the bar two", "dim") if self._rows else EMPTY
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
        lines = [*self._graded(width), header_line(titled)]
        for row in self._rows:
            lines.append(row_line(columns, [self._cell(row, c.key, size, reach) for c, size in columns]))
        for row in self._rows:
            letter = LETTERS.get(row.selected or 0, "")
            words = f.wrapped(row.judgement or "not judged: this search is of an earlier version", width - 3, 2)
            lines.append(((f"{letter}  ", "accent"), (words[0], "strong")))
            lines += [plain("   " + piece, "strong") for piece in words[1:]]
            luck = re.sub(r": p = [0-9.]+( at least)?", "", row.luck)  # the column says it
            lines.append(plain("   " + _fitting(luck, width - 3), "dim"))
        return lines

    def _graded(self, width: int) -> list[Line]:
        """The grade of what trades, and why it is this one."""
        if not self._grade.grade:
            return []
        ink = "warn" if self._grade.advised == 0 else "strong"
        said = [plain(piece, ink) for piece in f.wrapped(self._grade.text, width, 2)]
        said += [plain(piece, "dim") for piece in f.wrapped(self._grade.reason, width, 2)]
        return said + [plain(piece, "warn") for piece in f.wrapped(self._grade.left_out, width, 2)]

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


def _fitting(luck: str, width: int) -> str:
    """What luck says, with as many of its notes in brackets as there is room for, the first ones first."""
    head, _, notes = luck.partition(" (")
    kept = notes.removesuffix(")").split("; ")
    while kept and len(f"{head} ({'; '.join(kept)})") > width:
        kept.pop()
    return f"{head} ({'; '.join(kept)})" if notes and kept else head


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
        found = [score for score in view.shuffle_scores if score is not None]
        empty = len(view.shuffle_scores) - len(found)
        reached, done = _counted(view) or (
            sum(score >= view.observed for score in found),
            len(view.shuffle_scores),
        )
        lines = plot.histogram(
            found,
            view.observed,
            width,
            max(6, self.size.height - 3 - bool(empty)),
            number=lambda value: f.signed(value, 3),
            name="this week",
        )
        said: Line = (
            ("luck alone did as well in ", "dim"),
            (f"{f.count(reached)} of {f.count(done)}", "strong"),
            (" shuffled weeks", "dim"),
        )
        none = [plain(f"{f.count(empty)} of them held no group at all", "dim")] if empty else []
        return [*lines, *(fitted(line, width) for line in (said, *none))]


def _counted(view: GroupsView) -> tuple[int, int] | None:
    """(reached, done) of the search's best group, as stored; None while the lane runs, or where none was kept."""
    best = max(view.groups, key=lambda row: row.score, default=None)
    if best is None or best.shuffles_reached is None or not best.shuffles_done:
        return None
    return best.shuffles_reached, best.shuffles_done


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
            (("with the shuffles ", "dim"), (f.amount(view.elapsed_s), "strong")),
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
        Column("tsh", "TSH excess %/day", 17, 1, right=True),  # decides the grade
        Column("pp", "PP excess %/day", 17, 2, right=True),
        Column("traded", "traded live %/day", 17, 7, right=True),  # beside all candidates, where there is room
        Column("interval", "", 20, 6, most=60),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Forward ledger and walk-forward", id=id)
        self.can_focus = True
        self._reach = 1.0

    def show_rows(self, rows: Sequence[ForwardRow], grade: GradeView) -> None:
        """``grade``: over the weeks that count in this mode; rows of other sources stand in the table alone."""
        self._reach = max((abs(r.tsh_excess) + 2 * (r.tsh_error or 0.0) for r in rows), default=1.0) * 1.1 or 1.0
        self.note = _grade_note(grade) if rows else EMPTY
        self.empty = [
            plain("no week was judged forward yet: nothing speaks for real money", "text"),
            plain("stay on paper until some are", "text"),
            plain("each traded week of A and each shadow week of B gets a line, newest last", "dim"),
        ]
        self.show(rows)

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
                return plain(str(row.sessions) if row.possible is None else f"{row.sessions} of {row.possible}")
            case "candidates":
                return plain(f.count(row.candidates))
            case "pp":
                return plain(_with_error(row.pp_excess, row.pp_error))
            case "tsh":
                return plain(_with_error(row.tsh_excess, row.tsh_error), "strong")
            case "traded":
                if row.traded_live_excess is None:
                    return plain(f.UNKNOWN, "dim")
                return plain(f"{f.signed(row.traded_live_excess)} of {row.traded}")
            case _:
                if row.tsh_error is None:
                    return plain("no interval", "dim")
                return tuple(plot.interval(row.tsh_excess, row.tsh_error, width, -self._reach, self._reach))


def _grade_note(grade: GradeView) -> Line:
    """What the grade rests on: TSH's mean over the weeks that count, with its 80 % bounds; PP beside it."""
    if grade.mean is None:
        return plain("no week counts in this mode", "dim")
    weeks = "1 week counts" if grade.weeks == 1 else f"{grade.weeks} weeks count"
    bounds = ""
    if grade.low_80 is not None and grade.high_80 is not None:
        bounds = f" ({f.signed(grade.low_80)}…{f.signed(grade.high_80)})"
    pp = "" if grade.pp_mean is None else f"  PP {f.signed(grade.pp_mean)}"
    return ((f"{weeks}  ", "dim"), (f"TSH {f.signed(grade.mean)}{bounds}", "strong"), (pp, "dim"))


def _with_error(mean: float, error: float | None) -> str:
    return f.signed(mean) + ("" if error is None else f" ± {error:.2f}")
