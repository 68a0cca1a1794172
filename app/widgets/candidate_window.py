"""One name of the list in full: every word of news behind its score, who read it, its rank, today's vetoes.

The panel below the list shows the beginning of it; here nothing is cut, and the window scrolls.
"""

from __future__ import annotations

from app import formatting as f
from app.widgets.box import EMPTY, Line, flowed, joined, plain
from app.widgets.shortlist_panels import news_ink, news_score_line, rank_in_words
from engine.views import NewsLine, PromptLine, QuoteLine, ShortlistView

INDENT = "      "  # below a score


def candidate_window(view: ShortlistView, symbol: str, width: int) -> list[Line]:
    """All that is known of ``symbol`` now; a name that has left the list says so."""
    row = next((row for row in view.rows if row.symbol == symbol), None)
    if row is None:
        return [plain(f"{symbol} is not on the list any more", "warn"), *_vetoed(view, width)]
    place = "would be traded" if row.chosen else "not among the chosen"
    head: list[Line] = [
        *([plain(row.name, "strong")] if row.name else []),
        joined([plain("✓" if row.chosen else "", "accent"), plain(f"rank {row.rank}, {place}")], " "),
        (("score ", "dim"), (f"{row.score:.3f}", "strong")),
        (("close ", "dim"), (f"{f.price(row.close)} $", "text")),
    ]
    lines = [*flowed(head, width, "   "), *(plain(piece) for piece in f.wrapped(row.reason, width))]
    if row.veto:
        lines += [plain(piece, "warn") for piece in f.wrapped(f"VETO: {row.veto}", width)]
    lines += [EMPTY, news_score_line(row)]
    if row.events:
        lines.append(joined([plain(event.upper(), "badge") for event in row.events], " "))
    for flag in row.flags:
        lines += [plain(piece, "warn") for piece in f.wrapped(flag, width)]
    for prompt in row.prompts:
        lines += [EMPTY, *_vote(prompt, width)]
    if row.quotes:
        lines += [EMPTY, plain("the words behind the score", "dim")]
        lines += [line for quote in row.quotes for line in _quote(quote, width)]
    lines += [EMPTY, plain("articles" if row.news else "nothing was published in the window", "dim")]
    lines += [line for item in row.news for line in _article(item, width)]
    return [*lines, EMPTY, *rank_in_words(row, width), *_vetoed(view, width)]


def _vote(prompt: PromptLine, width: int) -> list[Line]:
    """One prompt's score, whose it is, its reason and every quote it rests on."""
    name = prompt.prompt.replace("_", " ")
    if prompt.score is None:
        silent = f"no score: {prompt.reason or prompt.outcome}"
        return [
            (("    — ", "dim"), (name, "strong"), (f"  {prompt.label}", "dim")),
            *(plain(INDENT + piece, "warn") for piece in f.wrapped(silent, width - len(INDENT))),
        ]
    about = f"share {prompt.weight:.0%}, record {prompt.record}"
    if prompt.version:
        about += f", prompt {prompt.version}"
    if prompt.other is not None:
        about += f"; other names {prompt.other:+.2f} (Δ {prompt.score - prompt.other:+.2f})"
    room = width - len(INDENT)
    lines: list[Line] = [
        ((f"{prompt.score:+.2f} ", news_ink(prompt.score)), (name, "strong"), (f"  {prompt.label}", "dim")),
        *(plain(INDENT + piece) for piece in f.wrapped(prompt.reason or "no reason given", room)),
        *(plain(INDENT + piece, "dim") for piece in f.wrapped(about, room)),
    ]
    return [*lines, *(line for quote in prompt.quotes for line in _quote(quote, width))]


def _quote(quote: QuoteLine, width: int) -> list[Line]:
    points = "" if quote.points is None else f"{quote.points:+.2f}"
    pieces = f.wrapped(f"“{quote.text}” #{quote.article}", width - len(INDENT))
    return [
        ((f.fit(points if not i else "", 5) + " ", news_ink(quote.points)), (piece, "text"))
        for i, piece in enumerate(pieces)
    ]


def _article(item: NewsLine, width: int) -> list[Line]:
    when = f.eastern(item.at, "%a %d %b %H:%M ET")
    number = f" #{item.id}" if item.id else ""
    return [
        ((f"{item.score:+.2f} ", news_ink(item.score)), (f"{when}  {item.source}{number}  {item.label}", "dim")),
        *(plain(INDENT + piece) for piece in f.wrapped(f"“{item.headline}”", width - len(INDENT))),
    ]


def _vetoed(view: ShortlistView, width: int) -> list[Line]:
    if not view.vetoed:
        return []
    named = [plain(piece) for text in view.vetoed for piece in f.wrapped(text, width)]
    return [EMPTY, plain("vetoed, not on the list", "warn"), *named]
