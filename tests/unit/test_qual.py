"""News: which articles may speak, what the lexicon hears, and how little it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import OperatorError
from engine.model import NewsArticle
from engine.qual import qual_scoring as stage
from engine.qual.articles import clean_text, usable_articles
from engine.qual.combination import combine, days_text
from engine.qual.lexicon import LABEL, load_lexicon, parse_lexicon, tokens_of
from engine.qual.qual_scoring import qual_scoring, score_news, score_ticker
from engine.records import Candidate, QualScore
from engine.settings import QualSettings

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
WINDOW = timedelta(hours=72)


def article(
    headline: str,
    *,
    hours: float = 2.0,
    symbols: tuple[str, ...] = ("ABC",),
    summary: str = "",
    number: int = 1,
) -> NewsArticle:
    return NewsArticle(number, headline, summary, "wire", symbols, NOW - timedelta(hours=hours))


def tone(headline: str, summary: str = "") -> float:
    return load_lexicon().read(article(headline, summary=summary)).score


def score(*articles: NewsArticle) -> QualScore:
    return score_news(["ABC"], articles, NOW, QualSettings()).scores[0]


# --- which articles may speak ------------------------------------------------------------------


def test_only_dated_articles_of_the_window_that_name_the_ticker_are_used_once() -> None:
    undated = NewsArticle(9, "no date", "", "wire", ("ABC",), datetime(1970, 1, 1, tzinfo=UTC))
    naive = NewsArticle(8, "naive date", "", "wire", ("ABC",), NOW.replace(tzinfo=None))
    usable, dropped = usable_articles(
        [
            article("ABC wins contract", number=1, hours=3),
            article("ABC Wins Contract!", number=2, hours=1),
            article("from tomorrow", number=3, hours=-1),
            article("ancient", number=4, hours=73),
            article("about another", number=5, symbols=("XYZ",)),
            article("<b></b>", number=6),
            undated,
            naive,
        ],
        "ABC",
        NOW,
        WINDOW,
    )
    assert [a.id for a in usable] == [1], "the first to say it stays"
    assert dropped == {
        "duplicate": 1,
        "after the decision": 1,
        "before the window": 1,
        "about other tickers": 1,
        "empty": 1,
        "undated": 2,
    }


@pytest.mark.parametrize(
    ("hostile", "plain"),
    [
        ("\x1b[31mABC\x1b[0m \x1b]0;title\x07raises guidance", "ABC raises guidance"),
        ("<script>alert('x')</script>ABC &amp;amp; Co <a href='y'>rises</a>", "ABC & Co rises"),
        ("ABC\x00\x08 \u202ereversed\u202c\u200b text\r\nnext", "ABC reversed text next"),
        ("a < b and c > d", "a < b and c > d"),
        ("&lt;img src=x onerror=run&gt;ABC", "ABC"),
    ],
)
def test_headlines_lose_markup_control_sequences_and_invisible_characters(hostile: str, plain: str) -> None:
    assert clean_text(hostile, 300) == plain


@given(text=st.text(max_size=400))
@example("\x1b" * 50)
@example("<" * 400)
@example("&#x1b;[2J&#27;]0;x")
def test_a_cleaned_text_is_short_and_printable(text: str) -> None:
    cleaned = clean_text(text, 100)
    assert len(cleaned) <= 100
    assert "\x1b" not in cleaned
    assert cleaned.isprintable() or all(c.isprintable() or c.isspace() for c in cleaned)


# --- what the lexicon hears --------------------------------------------------------------------


@pytest.mark.parametrize(
    "headline",
    [
        "ABC raises full-year guidance",
        "ABC beats third-quarter estimates",
        "FDA approves ABC drug",
        "ABC wins $50M Navy contract",
        "ABC wins a 20 million dollar multi-year contract",
        "ABC upgraded to Buy at Example Bank",
        "ABC denies fraud and reports no loss",
    ],
)
def test_good_news_is_positive(headline: str) -> None:
    assert tone(headline) > 0


@pytest.mark.parametrize(
    "headline",
    [
        "ABC cuts full-year outlook",
        "ABC misses revenue estimates",
        "FDA issues complete response letter for ABC drug",
        "ABC downgraded to Sell",
        "ABC drops 9% on weak results",
        "ABC did not meet its primary endpoint",
        "ABC sees no growth",
        "ABC chief financial officer resigns unexpectedly",
    ],
)
def test_bad_news_is_negative(headline: str) -> None:
    assert tone(headline) < 0


def test_plain_words_have_no_tone() -> None:
    assert tone("ABC to present at the Example conference on Tuesday") == 0.0


def test_the_longest_term_counts_and_quotes_the_articles_own_words() -> None:
    read = load_lexicon().read(article("Tech: ABC Raises Full-Year Guidance"))
    assert [f.quote for f in read.findings] == ["Raises Full-Year Guidance"]
    assert read.score == pytest.approx(3 / 5)


def test_a_negation_turns_the_tone_at_half_strength_and_is_quoted() -> None:
    read = load_lexicon().read(article("ABC did not raise prices, sees no strong demand"))
    assert [f.quote for f in read.findings] == ["no strong demand"]
    assert read.score == pytest.approx(-0.75 / 2.75)
    assert tone("No change. Strong demand") > 0, "a negation ends with its clause"


def test_doubt_weakens_and_a_summary_counts_half() -> None:
    assert 0 < tone("ABC could win: strong demand possibly") < tone("ABC: strong demand")
    assert 0 < tone("ABC report", "strong demand") < tone("ABC strong demand report")


def test_repeating_a_word_does_not_add() -> None:
    assert tone("ABC surges surges surges") == tone("ABC surges")


WORDS = "raises guidance misses not no fraud . ; , offering public the abc could".split()  # noqa: SIM905


@given(words=st.lists(st.sampled_from(WORDS), max_size=20))
def test_any_article_scores_within_bounds_and_its_findings_sum_to_the_score(words: list[str]) -> None:
    read = load_lexicon().read(article(" ".join(words), summary=" ".join(words[::-1])))
    assert -1 < read.score < 1
    assert sum(f.points for f in read.findings) == pytest.approx(read.score)


@given(text=st.text(max_size=200))
def test_token_offsets_point_at_the_text(text: str) -> None:
    for token in tokens_of(text):
        assert text[token.start : token.end].lower().replace("’", "'") == token.word


@pytest.mark.parametrize(
    ("headline", "reason"),
    [
        ("ABC announces proposed public offering of common stock", "share offering"),
        ("ABC prices $40 million registered direct offering", "share offering"),
        ("ABC raises substantial doubt about going concern", "going concern"),
        ("ABC files for Chapter 11", "going concern"),
        ("SEC charges ABC executives", "legal"),
        ("Investor alert: class action lawsuit against ABC", "legal"),
        ("ABC trading halted, news pending", "halted"),
        ("ABC to be acquired by XYZ for $31 per share in cash", "takeover"),
    ],
)
def test_what_forbids_a_trade_is_a_veto_with_its_words(headline: str, reason: str) -> None:
    qual = score(article(headline))
    assert reason in qual.veto
    assert '"' in qual.veto
    assert qual.flags


@pytest.mark.parametrize(
    "headline",
    [
        "ABC denies accounting fraud",
        "ABC says no public offering planned",
        "ABC resumes trading after a volatility pause",
    ],
)
def test_a_denied_matter_is_no_veto(headline: str) -> None:
    assert score(article(headline)).veto == ""


def test_a_roundup_of_many_tickers_raises_a_flag_but_no_veto() -> None:
    roundup = article("Movers: XYZ public offering", symbols=("ABC", "XYZ", "KLM", "QRS"))
    qual = score(roundup)
    assert (bool(qual.flags), qual.veto) == (True, "")


def test_a_broken_lexicon_is_refused_by_its_term() -> None:
    base = "[positive]\n{}\n[negative]\n[uncertainty]\n[negation]\nwords = []\n[veto]\n"
    for line, words in [
        ('"* guidance" = 1', "begin and end"),
        ('"raises" = 9', "weight"),
        ('"Raises" = 1', "never match"),
    ]:
        with pytest.raises(ValueError, match=words):
            parse_lexicon(base.format(line))


# --- a ticker's score --------------------------------------------------------------------------


def test_without_news_there_is_no_score_but_a_label() -> None:
    assert score() == QualScore("ABC", None, LABEL)


def test_recent_news_weighs_more() -> None:
    good, bad = "ABC raises guidance", "ABC cuts guidance"
    newer_good = score(article(good, hours=1, number=1), article(bad, hours=60, number=2))
    newer_bad = score(article(good, hours=60, number=1), article(bad, hours=1, number=2))
    assert newer_good.score is not None
    assert newer_bad.score is not None
    assert newer_good.score > 0 > newer_bad.score


def test_the_quotes_contributions_sum_to_the_score() -> None:
    qual = score(
        article("ABC raises guidance", number=1, hours=5),
        article("ABC downgraded", number=2, hours=30),
        article("ABC to present", number=3, hours=1),
    )
    assert qual.score == pytest.approx(sum(points for _, _, points in qual.quotes))
    assert {a for a, _, _ in qual.quotes} == {1, 2}


@settings(max_examples=50)
@given(
    picked=st.lists(
        st.tuples(
            st.sampled_from(["raises guidance", "cuts guidance", "fraud", "talks"]),
            st.floats(0, 71),
            st.integers(1, 9),
        ),
        max_size=12,
    )
)
def test_a_tickers_score_is_bounded_and_independent_of_the_order_of_articles(
    picked: list[tuple[str, float, int]],
) -> None:
    articles = [
        article(f"ABC {words} {i}", hours=hours, number=i, symbols=("ABC", *(f"X{n}" for n in range(others))))
        for i, (words, hours, others) in enumerate(picked)
    ]
    one, other = score(*articles), score(*articles[::-1])
    assert one == other
    assert (one.score is None) == (not articles)
    assert one.score is None or -1 <= one.score <= 1


# --- the stage ---------------------------------------------------------------------------------


class Feed:
    def __init__(self, articles: Sequence[NewsArticle] = (), error: Exception | None = None) -> None:
        self.articles, self.error = list(articles), error
        self.asked: list[tuple[tuple[str, ...], datetime, datetime]] = []

    async def news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]:
        self.asked.append((tuple(symbols), start, end))
        if self.error is not None:
            raise self.error
        return self.articles


async def test_the_stage_asks_for_the_window_and_scores_every_ticker() -> None:
    feed = Feed([article("ABC raises guidance"), article("XYZ public offering", symbols=("XYZ",), number=2)])
    report = await qual_scoring(["ABC", "XYZ", "QRS"], NOW, feed, QualSettings())
    assert feed.asked == [(("ABC", "XYZ", "QRS"), NOW - WINDOW, NOW)]
    assert [s.symbol for s in report.scores] == ["ABC", "XYZ", "QRS"]
    assert report.scores[2].score is None
    assert "news about 2 of 3 tickers; vetoed XYZ (share offering" in report.summary()
    assert [(s.article.headline, s.score > 0) for s in report.articles["ABC"]] == [("ABC raises guidance", True)]


@pytest.mark.parametrize("error", [OperatorError("the broker does not answer"), ConnectionError("reset")])
async def test_unavailable_news_costs_the_scores_and_is_said_plainly(error: Exception) -> None:
    report = await qual_scoring(["ABC"], NOW, Feed(error=error), QualSettings())
    assert not report.available
    assert report.scores == (QualScore("ABC", None, LABEL),)
    assert str(error) in report.summary()
    combined = combine([candidate("ABC", 0.8)], report.scores, QualSettings(), 4, note=report.note)
    assert "news is unavailable" in combined.picks[0].reason


async def test_news_that_never_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def news(self, symbols: Sequence[str], start: datetime, end: datetime) -> list[NewsArticle]:
            await asyncio.sleep(3600)
            return []

    monkeypatch.setattr(stage, "TIMEOUT_S", 0.05)
    report = await qual_scoring(["ABC"], NOW, Silent(), QualSettings())
    assert "no answer" in report.note


async def test_without_candidates_nobody_is_asked() -> None:
    feed = Feed()
    assert (await qual_scoring([], NOW, feed, QualSettings())).scores == ()
    assert feed.asked == []


# --- the combination ---------------------------------------------------------------------------


def candidate(symbol: str, rank_score: float, veto: str = "", rank: int = 1) -> Candidate:
    return Candidate(0 if veto else rank, symbol, "", 10.0, rank_score, {"liquidity": 0.1}, {}, (10.0,), veto)


symbols = st.sampled_from([f"T{i}" for i in range(12)])
rows = st.lists(
    st.builds(candidate, symbols, st.floats(0, 1), st.sampled_from(["", "", "", "top 2 % by ATR%"])),
    unique_by=lambda c: c.symbol,
    max_size=12,
)
quals = st.lists(
    st.builds(
        QualScore,
        symbol=symbols | st.just("OUTSIDE"),
        score=st.none() | st.floats(-1, 1),
        label=st.just(LABEL),
        veto=st.sampled_from(["", "", "", "share offering"]),
    ),
    unique_by=lambda q: q.symbol,
    max_size=12,
)


@given(candidates=rows, scores=quals, names=st.integers(1, 6), data=st.data())
def test_news_only_tilts_and_vetoes_inside_the_shortlist(
    candidates: list[Candidate], scores: list[QualScore], names: int, data: st.DataObject
) -> None:
    rules = QualSettings()
    combined = combine(candidates, scores, rules, names)
    by_symbol = {c.symbol: c for c in candidates}
    quals_by_symbol = {q.symbol: q for q in scores}
    assert {v.symbol for v in combined.verdicts} == set(by_symbol)
    assert len(combined.picks) <= names
    assert [p.position for p in combined.picks] == list(range(1, len(combined.picks) + 1))
    for v in combined.verdicts:
        assert abs(v.score - by_symbol[v.symbol].rank_score) <= rules.tilt + 1e-12
    for p in combined.picks:
        qual = quals_by_symbol.get(p.symbol)
        assert not by_symbol[p.symbol].veto
        assert qual is None or (not qual.veto and (qual.score is None or qual.score >= rules.veto_below))
    free = [v for v in combined.verdicts if not v.veto]
    keys = [(-v.score, -v.rank_score, v.symbol) for v in free]
    assert keys == sorted(keys)
    assert len(combined.picks) == min(names, len(free))
    assert bool(combined.reason) == (len(combined.picks) < names)
    shuffled = combine(data.draw(st.permutations(candidates)), scores[::-1], rules, names)
    assert shuffled == combined


def test_reasons_are_in_words_with_the_quote() -> None:
    good = score(article("ABC raises full-year guidance", number=1), article("ABC upgraded", number=2))
    combined = combine([candidate("ABC", 0.5), candidate("XYZ", 0.5)], [good], QualSettings(), 4)
    assert combined.picks[0].symbol == "ABC"
    assert '"raises full-year guidance" (LEXICON, 2 articles)' in combined.picks[0].reason
    assert combined.picks[1].reason.endswith("no news in 3 days")
    assert combined.reason == "2 of 4 names: only 2 candidates; the rest of the allocation stays in cash"


def test_a_very_bad_score_is_a_veto_of_its_own() -> None:
    bad = QualScore("ABC", -0.7, LABEL)
    combined = combine([candidate("ABC", 0.9)], [bad], QualSettings(), 4)
    assert combined.picks == ()
    assert "-0.70 is below -0.60" in combined.verdicts[0].veto
    assert combined.reason.startswith("0 of 4 names: 1 candidates, 1 vetoed")


def test_durations_are_said_as_people_say_them() -> None:
    assert [days_text(h) for h in (72.0, 24.0, 36.0, 5.0)] == ["3 days", "1 day", "36 hours", "5 hours"]


def test_the_window_of_the_reason_is_the_setting() -> None:
    combined = combine([candidate("ABC", 0.9)], [], QualSettings(window_hours=24), 1)
    assert combined.picks[0].reason.endswith("no news in 1 day")


def test_scoring_one_ticker_is_pure() -> None:
    articles = [article("ABC raises guidance")]
    assert score_ticker("ABC", articles, NOW, load_lexicon()) == score_ticker("ABC", articles, NOW, load_lexicon())
