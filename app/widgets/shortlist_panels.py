"""The shortlist's panels: the list with its chosen names, and one candidate with its reasons and quotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app import formatting as f
from app.widgets.box import EMPTY, Box, Line, flowed, joined, plain
from app.widgets.plot import trend
from app.widgets.table import Column, Table
from app.widgets.training_panels import work_before
from engine.views import PromptLine, QuoteLine, ShortlistRow, ShortlistView, StageView, StatusView

PART_NAMES = {
    "firings": "own firings",
    "month_mean": "month mean",
    "month_hits": "month hits",
    "liquidity": "liquidity",
    "gap_risk": "gap risk",
    "atr_distance": "ATR distance",
}
STATE_WORDS = {
    "none": "no list",
    "pending": "waits for approval",
    "approved": "APPROVED",
    "rejected": "REJECTED: no trade",
    "expired": "EXPIRED: no trade",
    "empty": "NO CANDIDATES: no trade",
}


ROOMY = 60  # cells of the news part from which a prompt's vote has a second line

NO_NEWS = "no news"  # of "no news in 3 sessions", where there is no room for all of it


MAKING = ("daily_snapshot", "mp2_p3_executor", "qual_scoring")  # the stages that end with a list


def changeable(view: ShortlistView, status: StatusView) -> bool:
    """Whether the list still waits, or is approved and its session's entries are still to come."""
    if view.state != "approved":
        return view.state == "pending"
    left = f.until(view.valid_until, status.market_time)
    return not status.market_open and (left is None or left > 0)


def difference(view: ShortlistView) -> list[Line]:
    """What changed since the last session's list: against which, the names that came, those that went."""
    if not view.previous:
        return [plain("no earlier list to compare with", "dim")]
    now = [row.symbol for row in view.rows if row.chosen]
    came = " ".join(f"+{symbol}" for symbol in now if symbol not in view.previous)
    went = " ".join(f"-{symbol}" for symbol in view.previous if symbol not in now)
    day = f"{view.previous_session:%a %d %b}" if view.previous_session else "the last"
    ended = "" if view.previous_outcome in ("", "approved") else f" ({view.previous_outcome})"
    change = [line for line in (plain(came, "strong"), plain(went, "text")) if line]
    return [plain(f"against {day}{ended}", "dim"), *(change or [plain("the same names")])]


class ShortlistTable(Table[ShortlistRow]):
    """Up to twenty names in order; ✓ are the ones that would be traded."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("chosen", "", 2, 1),
        Column("rank", "rank", 4, 2, right=True),
        Column("symbol", "ticker", 7, 1),
        Column("score", "score", 6, 1, right=True),
        Column("rank_score", "rank sc", 7, 8, right=True),
        Column("firings", "firings", 8, 12, right=True),
        Column("month_mean", "mon mean", 8, 12, right=True),
        Column("month_hits", "mon hits", 8, 12, right=True),
        Column("liquidity", "liquid", 8, 12, right=True),
        Column("gap_risk", "gap risk", 8, 12, right=True),
        Column("atr_distance", "ATR dist", 8, 12, right=True),
        Column("month", "month %/day", 11, 3, right=True),
        Column("close", "close $", 9, 7, right=True),
        Column("spark", "21 sessions", 11, 4),
        Column("news", "news", 6, 1, right=True),
        Column("by", "by", 7, 1),  # who gave the score: it never drops
        Column("why", "why", 17, 1, most=120),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Trade list", id=id)
        self.marked = ""  # the symbol that waits for its partner in a swap

    def show_list(self, view: ShortlistView, status: StatusView, stages: Sequence[StageView] = ()) -> None:
        making = next((s for s in stages if s.stage in MAKING and s.state in ("running", "paused")), None)
        session = view.session.strftime("%A %d %B") if view.session else ""
        self.title = plain(f"Trade list for {session}" if session else "Trade list", "strong")
        roomy = self.size.width >= 100
        self.note = self._verdict(view, status, roomy)
        if making is not None and view.rows:  # what stands here is the last list
            share = "" if making.progress is None else f" {making.progress * 100:.0f} %"
            self.note = (("▶ ", "accent"), ("next list: " if roomy else "", "dim"), (making.stage + share, "text"))
        self.foot = self._against(view, roomy) if view.rows else EMPTY
        self.foot_note = self._keys(view, status)
        self.empty = self._nothing(view, making)
        self.show(view.rows)

    def _keys(self, view: ShortlistView, status: StatusView) -> Line:
        """What can still be done to the list: nothing to one that is over."""
        if not view.rows or not changeable(view, status):
            return EMPTY
        approve: Line = (("a", "key:shortlist.approve"), (" approve  ", "dim"))
        swap = f" swap {self.marked} with …" if self.marked else " swap"
        return (
            *(approve if view.state == "pending" else EMPTY),
            ("r", "key:shortlist.reject"),
            (" reject  ", "dim"),
            ("space", "key:shortlist.swap"),
            (swap, "strong" if self.marked else "dim"),
        )

    @staticmethod
    def _verdict(view: ShortlistView, status: StatusView, roomy: bool) -> Line:
        if view.state == "none":
            return EMPTY
        if view.state == "pending":
            left = f.until(view.deadline, status.market_time)
            urgent = left is not None and left < 600
            return (
                ("approval closes in " if roomy else "closes in ", "dim"),
                (f.stopwatch(left), "alarm" if urgent else "strong"),
                (f" ({f.eastern(view.deadline, '%a %H:%M')} ET) · without it: " if roomy else ", else ", "dim"),
                ("NO TRADE", "warn"),
            )
        by = f" by {view.approved_by}" if view.approved_by else ""
        return plain(STATE_WORDS[view.state] + by, "accent" if view.state == "approved" else "warn")

    @staticmethod
    def _against(view: ShortlistView, roomy: bool) -> Line:
        """The list's hash, and what changed since the last session's list."""
        hash_text = f"{view.list_hash[:4]}·{view.list_hash[4:8]}" if view.list_hash else f.UNKNOWN
        against, *change = difference(view)
        shown = [against, *change] if roomy or not change else change
        parts: list[Line] = [(("list ", "dim"), (hash_text, "strong"))]
        if roomy or change:
            parts.append(joined(shown, " "))
        return joined(parts, "   ")

    @staticmethod
    def _nothing(view: ShortlistView, making: StageView | None) -> list[Line]:
        if view.state == "none" and making is not None:
            return [plain("no shortlist yet; the run is on its way to it", "dim"), work_before([making], "")]
        if view.state == "none":
            return [
                plain("no shortlist yet", "dim"),
                (
                    ("d", "key:weekday"),
                    (" runs the market day: snapshot, group, ranking, news (after a weekend, w)", "dim"),
                ),
                *([plain(view.detail, "dim")] if view.detail else []),
            ]
        return [plain(view.detail or "the group fired on no ticker: no trade", "text")]

    def key(self, row: ShortlistRow) -> str:
        return row.symbol

    def cell(self, row: ShortlistRow, column: str, width: int) -> Line:
        match column:
            case "chosen":
                if row.symbol == self.marked:
                    return plain("⇄", "warn")
                return plain("✓" if row.chosen else "", "accent")
            case "rank":
                return plain(str(row.rank) if row.rank else f.UNKNOWN, "dim")
            case "symbol":
                return plain(row.symbol, "strong" if row.chosen else "text")
            case "score":
                return plain(f"{row.score:.3f}", "strong" if row.chosen else "text")
            case "rank_score":
                return plain(f"{row.rank_score:.3f}", "dim")
            case "month":
                month = round(row.month_pct or 0.0, 2)
                ink = "text" if month == 0 else "gain" if month > 0 else "loss"
                return plain(f.signed(row.month_pct), ink)
            case "close":
                return plain(f"{row.close:,.2f}")
            case "spark":
                return plain(trend(row.sparkline, width), "accent")
            case "news":
                if row.veto:
                    return plain("VETO", "warn")
                ink = "text" if row.news_score is None else "gain" if row.news_score >= 0 else "loss"
                return plain(f.signed(row.news_score, 1), ink)
            case "by":
                return plain(row.news_label if row.news_score is not None or row.veto else "", "dim")
            case "why":
                said = row.veto or why(row)
                if len(said) > width and said.startswith(NO_NEWS):
                    said = NO_NEWS
                return plain(said, "warn" if row.veto else "text" if row.chosen else "dim")
            case _:
                return plain(f.signed(row.parts.get(column), 3), "dim")


def why(row: ShortlistRow) -> str:
    """What the news said in its own words; the engine's reason without the rank, which has columns of its own."""
    quotes = row.quotes or tuple(quote for prompt in row.prompts for quote in prompt.quotes)
    if row.news_score is not None and quotes:
        articles = len({quote.article for quote in quotes})
        return f"“{quotes[0].text}”" + (f" ({articles} articles)" if articles > 1 else "")
    first, _, rest = row.reason.partition("; ")
    return rest if rest and first.startswith("rank ") else row.reason


class CandidatePanel(Box):
    """The name under the cursor: the parts of its rank, what the news said, in whose words."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Candidate", id=id)
        self._row: ShortlistRow | None = None
        self._vetoed: tuple[str, ...] = ()

    def show(self, row: ShortlistRow | None, vetoed: tuple[str, ...]) -> None:
        self._row, self._vetoed = row, vetoed
        self.title = plain(f"{row.symbol}  " if row else "Candidate", "strong") + plain(
            row.name if row else "", "dim"
        )
        self.note = joined(
            [(("enter", "accent"), (" in full", "dim")), plain(f"news {row.news_label}".rstrip(), "dim")]
            if row
            else []
        )
        self.repaint()

    def draw(self, width: int) -> Sequence[Line]:
        row = self._row
        if row is None:
            lines = [plain("walk the list with ↑ ↓ to see why a name is on it", "dim")]
        elif width >= 90:
            left, right = self._parts(row, 40), self._news(row, width - 44)
            height = max(len(left), len(right))
            left += [EMPTY] * (height - len(left))
            right += [EMPTY] * (height - len(right))
            lines = [
                (*part, (" " * max(0, 44 - sum(len(t) for t, _ in part)), "text"), *news)
                for part, news in zip(left, right, strict=True)
            ]
        else:
            lines = [*self._news(row, width), *rank_in_words(row, width)]
        if self._vetoed and row is None:
            lines += flowed(
                [plain("vetoed", "warn"), *(plain(text, "dim") for text in self._vetoed)], width, "   "
            )
        elif self._vetoed:
            lines.append(joined([plain("vetoed", "warn"), plain("   ".join(self._vetoed), "dim")]))
        return lines

    @staticmethod
    def _parts(row: ShortlistRow, width: int) -> list[Line]:
        lines: list[Line] = [
            (("rank ", "dim"), (f"{row.rank_score:.3f}", "strong"), (" = ", "dim"), ("weight × rank 0..1", "dim"))
        ]
        scale = max((abs(v) for v in row.parts.values()), default=0.0) or 1.0
        for name, value in row.parts.items():
            full, _ = f.bar(abs(value) / scale, max(4, min(14, width - 24)))
            ink = "accent" if value >= 0 else "loss"
            lines.append(
                (
                    (f.fit(PART_NAMES.get(name, name), 13), "dim"),
                    (f" {value:+.3f} ", "text"),
                    (full.strip(), ink),
                )
            )
        return lines

    @staticmethod
    def _news(row: ShortlistRow, width: int) -> list[Line]:
        lines = [news_score_line(row)]
        if row.events:
            lines.append(joined([plain(event.upper(), "badge") for event in row.events], " "))
        if row.veto:
            lines.append(plain(f"VETO: {row.veto}", "warn"))
        for flag in row.flags:
            if flag.startswith("not shown to the model"):
                lines.append(plain(flag, "warn"))
        for prompt in row.prompts:
            lines.extend(_prompt_lines(prompt, width))
        if not row.prompts:
            lines.extend(_quote_lines(row.quotes, row.news_label))
        for item in row.news[: 2 if row.prompts else 4]:
            when = f.eastern(item.at, "%d %b %H:%M")
            ink = "gain" if item.score > 0 else "loss" if item.score < 0 else "dim"
            number = f" #{item.id}" if item.id else ""
            lines.append(((f"{item.score:+.1f}", ink), (f" {item.label}  {when} {item.source}{number}", "dim")))
            lines.extend(
                ((("      “" if i == 0 else "       "), "dim"), (piece, "text"), ("”" if last else "", "dim"))
                for i, piece, last in _marked_last(f.wrapped(item.headline, max(10, width - 8), 2))
            )
        if not row.news:
            lines.append(plain("nothing was published in the window", "dim"))
        return lines


def news_ink(score: float | None) -> str:
    return "dim" if not score else "gain" if score > 0 else "loss"


def news_score_line(row: ShortlistRow) -> Line:
    score = f.signed(row.news_score, 2) if row.news_score is not None else "none found"
    by = f"   by {row.news_label}, between -1 and +1" if row.news_label else ""
    return (("news ", "dim"), (score, "strong"), (by, "dim"))


def rank_in_words(row: ShortlistRow, width: int) -> list[Line]:
    """The parts of the rank, side by side."""
    parts: list[Line] = [(("rank ", "dim"), (f"{row.rank_score:.3f}", "strong"), (" =", "dim"))]
    for name, value in row.parts.items():
        parts.append(((f"{PART_NAMES.get(name, name)} ", "dim"), (f"{value:+.3f}", "text")))
    return flowed(parts, width, "  ")


def _prompt_lines(prompt: PromptLine, width: int) -> list[Line]:
    """A prompt's vote with the words it rests on; without a score, why there is none."""
    name = f.fit(prompt.prompt.replace("_", " "), 10)
    if prompt.score is None:
        return [(("   — ", "dim"), (f"{name} ", "text"), (f"no score: {prompt.reason or prompt.outcome}", "warn"))]
    other = ""
    if prompt.other is not None:  # the same question with names masked (or shown, when the masked one votes)
        other = f"  other names {prompt.other:+.2f} (Δ {prompt.score - prompt.other:+.2f})"
    room = max(10, width - 28 - len(other))
    quote: Line = plain("no quote", "dim")
    if prompt.quotes:
        first = prompt.quotes[0]
        more = f" +{len(prompt.quotes) - 1}" if len(prompt.quotes) > 1 else ""
        words = f.wrapped(first.text, room, 1)[0]
        quote = (("“", "dim"), (words, "text"), (f"” #{first.article}{more}", "dim"))
    lines: list[Line] = [
        ((f"{prompt.score:+.2f}", news_ink(prompt.score)), (f" {name} ", "text"), *quote, *plain(other, "dim"))
    ]
    if width >= ROOMY:
        note = f"share {prompt.weight:.0%}, record {prompt.record}: {prompt.reason or 'no reason given'}"
        lines += [plain(f"      {piece}", "dim") for piece in f.wrapped(note, width - 8, 1)]
    return lines


def _quote_lines(quotes: Sequence[QuoteLine], label: str) -> list[Line]:
    """The words behind a score of the word lists, each with what it adds."""
    lines: list[Line] = []
    for quote in quotes[:3]:
        points = "" if not quote.points else f"{quote.points:+.2f}"
        lines.append(
            ((f.fit(points, 5), news_ink(quote.points)), (" “", "dim"), (quote.text, "text"),
             (f"” #{quote.article} {label}", "dim"))
        )  # fmt: skip
    return lines


def _marked_last(pieces: Sequence[str]) -> list[tuple[int, str, bool]]:
    return [(i, piece, i == len(pieces) - 1) for i, piece in enumerate(pieces)]
