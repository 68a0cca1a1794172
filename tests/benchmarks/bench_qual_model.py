"""How long 20 tickers x 4 prompts take against a chat server that answers in 300 ms, then from the journal.

Target: 3 s for the first run with records on disk, no request in the second.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from chat_server import chat_server

from engine.journal import JournalDb
from engine.model import NewsArticle
from engine.qual.model_access import model_access
from engine.qual.model_scoring import model_scoring
from engine.qual.openai_provider import OpenAiProvider, load_sdk
from engine.qual.prompt_files import load_prompts
from engine.qual.qual_scoring import score_news
from engine.records import Candidate
from engine.settings import QualSettings

NOW = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)


async def measure(delay_s: float) -> None:
    began = time.perf_counter()
    load_sdk()
    print(f"loading the SDK: {time.perf_counter() - began:.2f} s (the engine does it while it fetches the news)")
    symbols = [f"T{i:02}" for i in range(20)]
    rows = [Candidate(i + 1, s, "", 10.0, 0.5, {}, {}, (10.0,) * 21) for i, s in enumerate(symbols)]
    news = [
        NewsArticle(i, f"{s} wins a large contract", "", "w", (s,), NOW - timedelta(hours=2))
        for i, s in enumerate(symbols)
    ]
    with tempfile.TemporaryDirectory() as folder:
        book = await JournalDb.open(Path(folder) / "journal.db")
        async with chat_server(delay_s=delay_s) as server:
            settings = QualSettings(provider="openai", model="m", base_url=server.url)
            report = score_news(symbols, news, NOW, settings)
            for run in ("first", "second"):
                before, began = len(server.bodies), time.perf_counter()
                provider = OpenAiProvider(model_access(settings, {}), settings)
                made = await model_scoring(
                    report, rows, date(2026, 11, 23), load_prompts(), provider, book, settings
                )
                await provider.close()
                seconds = time.perf_counter() - began
                scored = sum(s.score is not None for s in made.report.scores)
                requests = len(server.bodies) - before
                print(f"{run} run: {seconds:.2f} s, {requests} requests, {scored} of 20 tickers scored")
        await book.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.3, help="seconds the server takes for an answer")
    asyncio.run(measure(parser.parse_args().delay))
