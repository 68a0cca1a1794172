"""From a trade back to where it came from: fills, intents, approval, news, rank, group, variations, bars.

Reads the databases only, so it works beside a running engine and without one. What a
later run has replaced in the tables is said to be gone, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.compute.algorithms import ALGORITHMS
from engine.errors import RefusedError
from engine.home import Home
from engine.journal import JournalDb
from engine.model import CLOSE, HIGH, LOW, NEW_YORK, OPEN, VOLUME
from engine.orders_model import Fill, OrderIntent
from engine.pipeline.selection_record import read_frozen
from engine.records import PromptScore
from engine.storage.stocks_data_db import StocksDataDb

Chain = dict[str, list[str]]


async def explain_trade(home: Home, identifier: str) -> Chain:
    """Titles with their lines, latest link first. RefusedError when nothing is known under that name."""
    journal = await JournalDb.open(home.journal, read_only=True)
    try:
        intent = await journal.intent(identifier) or await journal.last_intent(identifier.upper())
        if intent is None:
            raise RefusedError(
                f"the journal knows no order or symbol '{identifier}': give a client order id or a traded symbol"
            )
        chain = await _journal_part(journal, intent)
        stocks = await StocksDataDb.open(home.stocks_data, read_only=True)
        try:
            chain |= await _tables_part(journal, stocks, intent)
        finally:
            await stocks.close()
    finally:
        await journal.close()
    return chain


async def _journal_part(journal: JournalDb, intent: OrderIntent) -> Chain:
    fills = [f for f in await journal.fills(intent.session) if f.symbol == intent.symbol]
    intents = [i for i in await journal.intents(intent.session) if i.symbol == intent.symbol]
    approval = await journal.approval(intent.session)
    approved = (
        [f"{approval.outcome} by {approval.by}: list {approval.list_hash[:8]}, {' '.join(approval.symbols)}"]
        if approval
        else ["none in the journal"]
    )
    return {
        f"trade {intent.symbol} {intent.session}": [_result(fills)],
        "fills": [
            f"{f.at.astimezone(NEW_YORK):%H:%M:%S} {f.side} {f.shares} at {f.price} ({f.client_order_id})"
            for f in fills
        ]
        or ["none"],
        "intents": [
            f"{i.side} {i.shares} {i.kind} {i.limit_price or ''} {i.leg} attempt {i.attempt}: {i.why}"
            for i in intents
        ],
        "approval": approved,
    }


def _result(fills: Sequence[Fill]) -> str:
    bought = sum((f.price * f.shares for f in fills if f.side == "buy"), Decimal(0))
    sold = sum((f.price * f.shares for f in fills if f.side == "sell"), Decimal(0))
    held = sum(f.shares if f.side == "buy" else -f.shares for f in fills)
    if held:
        return f"bought for {bought:,.2f} $, still holds {held} shares"
    return f"bought for {bought:,.2f} $, sold for {sold:,.2f} $: {sold - bought:+,.2f} $"


async def _tables_part(journal: JournalDb, stocks: StocksDataDb, intent: OrderIntent) -> Chain:
    chain: Chain = {}
    session, _, picks, quals, _ = await stocks.trade_list()
    pick = next((p for p in picks if p.symbol == intent.symbol), None) if session == intent.session else None
    chain["decision"] = (
        [f"position {pick.position}, score {pick.score:.3f} (rank {pick.rank_score:.3f}): {pick.reason}"]
        if pick
        else ["a later trade list has replaced this session's"]
    )
    if pick:
        news = next((q for q in quals if q.symbol == intent.symbol), None)
        chain["news"] = _news_lines(news.score if news else None, news.quotes if news else ())
        chain["news"] += [_prompt_line(row) for row in (news.prompts if news else ())]
        _, shortlist = await stocks.shortlist()
        candidate = next((c for c in shortlist if c.symbol == intent.symbol), None)
        if candidate:
            parts = ", ".join(f"{name} {value:+.3f}" for name, value in candidate.parts.items())
            chain["rank"] = [f"{candidate.rank} of the shortlist, {candidate.rank_score:.3f} = {parts}"]
        day, panel = await stocks.dictionary()
        if intent.symbol in panel.symbols:
            bar = panel.bars[panel.symbols.index(intent.symbol), -1]
            chain["signal bar"] = [
                f"{day}: open {bar[OPEN]:g}, high {bar[HIGH]:g}, low {bar[LOW]:g}, close {bar[CLOSE]:g}, "
                f"{bar[VOLUME]:,.0f} shares; window of 64 bars from {panel.sessions[-64]}"
            ]
    chain |= await _group_part(journal, stocks, intent)
    return chain


def _news_lines(score: float | None, quotes: Sequence[tuple[int, str, float]]) -> list[str]:
    if score is None:
        return ["no news in the window"]
    return [f"score {score:+.2f}", *(f'article {number}: "{text}" {part:+.2f}' for number, text, part in quotes)]


def _prompt_line(row: PromptScore) -> str:
    score = f"{row.score:+.2f}" if row.score is not None else f"no score ({row.reason or row.outcome})"
    return f"{row.version} by {row.label}: {score}, share {row.weight:.0%}, decision record {row.record}"


async def _group_part(journal: JournalDb, stocks: StocksDataDb, intent: OrderIntent) -> Chain:
    frozen = await journal.live_selection(intent.session)
    if frozen is None:
        return {"group": ["no frozen selection covers this session"]}
    group = read_frozen(frozen.payload).first
    holdout = (
        "no picks"
        if group.holdout_mean is None
        else f"{group.holdout_mean:+.3f} ± {group.holdout_error or 0:.3f} %/day"
    )
    lines = [
        f"week of {frozen.week}, frozen {frozen.frozen_at:%Y-%m-%d %H:%M} UTC by run {frozen.payload['run']}",
        f"score {group.score:+.3f}, mean {group.mean:+.3f} %/day, picks {group.day_picks}, hold-out {holdout}",
    ]
    variations = []
    for member in group.members:
        space = ALGORITHMS[member.algorithm]
        rows = await stocks.pruned(space)
        row = next((r for r in rows if r.result.values == member.values), None)
        origin = (
            f"cycle {row.result.cycle} slot {row.result.slot}, score {row.result.score:+.3f}, "
            f"buys {row.result.buys}"
            if row
            else "its pruned row has been replaced by a later week"
        )
        variations.append(f"{member.algorithm} {space.text(member.values)}: {origin}")
    return {"group": lines, "variations": variations}
