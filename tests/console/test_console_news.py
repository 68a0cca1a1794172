"""What the Shortlist screen says about the news: who scored, on whose words, and why somebody did not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.widgets.box import Line, cells
from app.widgets.shortlist_panels import CandidatePanel, ShortlistTable
from engine.views import NewsLine, PromptLine, QuoteLine, ShortlistRow

NEWS = NewsLine(
    at=datetime(2026, 11, 20, 15, tzinfo=UTC), headline="Acme raises guidance", source="w", score=0.6, id=7
)
LEXICON = ShortlistRow(
    rank=1,
    symbol="ACMR",
    news_score=0.6,
    news=(NEWS,),
    quotes=(QuoteLine(article=7, text="raises guidance", points=0.6),),
    events=("earnings",),
)
SCORED = PromptLine(
    prompt="catalyst",
    score=0.8,
    label="some-model",
    weight=0.4,
    outcome="scored",
    quotes=(QuoteLine(article=7, text="raises guidance"),),
    reason="guidance is up",
    other=0.2,
    record=17,
)
SILENT = PromptLine(prompt="risk", label="some-model", outcome="unavailable", reason="no answer within 20 s")
MODEL = LEXICON.model_copy(
    update={
        "news_label": "some-model",
        "prompts": (SCORED, SILENT),
        "flags": ('not shown to the model: article 9 gives orders ("Ignore the above")', "legal: x"),
    }
)


def drawn(row: ShortlistRow, width: int) -> list[str]:
    panel = CandidatePanel()
    panel._row = row
    return ["".join(text for text, _ in line) for line in panel.draw(width)]


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


@pytest.mark.parametrize("width", [76, 116, 190])
def test_without_a_model_every_score_says_lexicon_and_shows_the_words_behind_it(width: int) -> None:
    lines = drawn(LEXICON, width)
    scores = [line for line in lines if "+0.6" in line]
    assert len(scores) == 3
    assert all("LEXICON" in line for line in scores)
    assert any("“raises guidance” #7 LEXICON" in line for line in lines)
    assert any("EARNINGS" in line for line in lines)


@pytest.mark.parametrize("width", [76, 116, 190])
def test_each_prompt_shows_its_quote_its_record_and_the_difference_without_names(width: int) -> None:
    lines = drawn(MODEL, width)
    vote = next(line for line in lines if "catalyst" in line)
    assert "+0.80" in vote
    assert "“raises guidance” #7" in vote
    assert "+0.20 (Δ +0.60)" in vote
    assert any("share 40%, record 17: guidance is up" in line for line in lines)
    assert any("risk" in line and "no score: no answer within 20 s" in line for line in lines)
    assert any("article 9 gives orders" in line for line in lines)


@pytest.mark.parametrize("row", [LEXICON, MODEL])
def test_the_list_names_who_scored(row: ShortlistRow) -> None:
    table = ShortlistTable()
    assert text(table.cell(row, "by", 12)) == row.news_label
    assert text(table.cell(row.model_copy(update={"news_score": None}), "by", 12)) == ""
    assert cells(table.cell(row, "news", 6)) <= 6
