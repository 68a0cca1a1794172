"""What a yes to the trade list rests on, in as many rows as the terminal has.

Session, account, hash, the money, names, the difference from the last list, the board's verdict and the deadline
are always there; remedies, gates and evidence give way first, so that nothing is approved unseen.
"""

from __future__ import annotations

from app import formatting as f
from app.client import EngineState
from app.silence import account_words
from app.widgets.board_panel import BoardDetail, board_summary
from app.widgets.box import EMPTY, Line, flowed, joined, plain
from app.widgets.shortlist_panels import difference
from engine.views import BoardView, ShortlistRow, ShortlistView

WIDTH = 70  # cells inside the dialog, also on a terminal of 80
# The board, lines of evidence (None: all) and air between the parts: the first that fits is shown.
SHAPES: tuple[tuple[BoardDetail, int | None, bool], ...] = (
    ("remedies", None, True),
    ("remedies", None, False),
    ("gates", None, False),
    ("names", None, False),
    ("names", 1, False),
    ("verdict", 1, False),
    ("verdict", 0, False),
)


def approval_lines(view: ShortlistView, state: EngineState, rows: int) -> list[Line]:
    """The question about ``view``, with board, evidence and time of now, in ``rows`` if that can be."""
    lines: list[Line] = []
    for detail, evidence, airy in SHAPES:
        lines = _shaped(view, state, detail, evidence, airy=airy)
        if len(lines) <= rows:
            break
    return lines


def _shaped(
    view: ShortlistView, state: EngineState, detail: BoardDetail, evidence: int | None, *, airy: bool
) -> list[Line]:
    status = state.status
    head = joined(
        [
            ((f"{view.session:%A %d %B}", "strong"),),
            ((account_words(status), "strong"),),
            (("list ", "dim"), (f"{view.list_hash[:4]}·{view.list_hash[4:8]}", "strong")),
        ],
        "   ",
    )
    names = [_name(row) for row in view.rows if row.chosen]
    board = board_summary(state.board, status.market_time, WIDTH, detail)
    closes: Line = (
        ("closes in ", "dim"),
        (f.stopwatch(f.until(view.deadline, status.market_time)), "strong"),
        (" market time; without a yes: ", "dim"),
        ("NO TRADE", "warn"),
    )
    end = [closes]
    if state.shortlist.list_hash != view.list_hash:
        end.append(plain("the list changed meanwhile: go back and look again", "alarm"))
    said = [*names, *flowed(difference(view), WIDTH, "  ")]
    against = state.overview.grade.against
    if against and evidence == 0:
        evidence = 1  # the grade that is acted against stands above the word on every terminal
    known = [plain(text, "dim") for text in state.overview.evidence[:evidence]]
    if against and known:
        known[0] = plain(state.overview.evidence[0], "warn")
    if known and len(known) < len(state.overview.evidence):
        known[-1] = joined([known[-1], (("6", "key:go.evidence"), (" the rest", "dim"))])
    air = [EMPTY] if airy else []
    lines = [head, *air, _money(view, state.board), *said]
    for part in (board, known):
        if part:
            lines += [*air, *part]
    return [*lines, *(air if not known else []), *end]


def _money(view: ShortlistView, board: BoardView) -> Line:
    """What the yes would spend; or that it spends nothing, while a gate besides the yes itself stops it."""
    if any(gate.state == "no_go" for gate in board.gates):
        return plain("NO-GO: nothing is bought, with or without your yes, until it is mended", "alarm")
    count = sum(row.chosen for row in view.rows)
    if board.per_name is None:
        return plain(f"buys {count} at the open; for how much is not known yet", "warn")
    each, together = f.money(board.per_name), f.money(board.per_name * count)
    return (
        ("buys ", "dim"),
        (f"{count}", "strong"),
        (" at the open, up to ", "dim"),
        (f"{each} $", "strong"),
        (" each, ", "dim"),
        (f"{together} $", "strong"),
        (" in all", "dim"),
    )


def _name(row: ShortlistRow) -> Line:
    news = f"news {f.signed(row.news_score, 1)}" if row.news_score is not None else "no news"
    return (
        (f"✓ {f.fit(row.symbol, 7)}", "strong"),
        (f"score {row.score:.3f}   {f.fit(news, 10)} ", "text"),
        (row.reason.partition(";")[0], "dim"),  # the news have their column
    )
