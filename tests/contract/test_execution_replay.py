"""A day traded on the simulator is decided again from its journal, by ``tshc verify-day`` too."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from execution_rig import Rig, rig, until

from app.cli import run
from engine.brackets import Bracket
from engine.execution.tsh_replay import against_the_journal, replay

QUICK = Bracket(0.0, 1.0, 0.1, 0.1, 20.0)  # arms soon, trails closely


async def differences(r: Rig) -> list[str]:
    rows = await r.journal.tsh_rows(r.session.day)
    fills, intents = await r.journal.fills(r.session.day), await r.journal.intents(r.session.day)
    found = [f"{d.seq} {d.symbol} {d.event}: {d.finding}" for d in replay(rows) if not d.same]
    return found + against_the_journal(rows, fills, intents)


def verified(home: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = run(["verify-day", *arguments, "--home", str(home), "--json"])
    return code, json.loads(capsys.readouterr().out)


async def test_a_traded_day_is_decided_again_from_the_journal_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partial fills, trailing stops, a halt, a restart, a sale by hand and a flatten: all in one record."""
    async with rig(tmp_path, brackets=(QUICK,)) as r:
        r.sim.fault("partial_fill", symbol=r.names[0], times=1)
        await r.enter()
        r.sim.fault("halt", symbol=r.names[1], market_seconds=30, gap_pct=0.2)
        await until(lambda: any(h.tsh.stop for h in r.desk.book.holdings.values()), "a trailing stop", 60)
        await asyncio.sleep(0.5)  # the next beat stores it
        r.kill_desk()
        await asyncio.sleep(0.3)
        await r.restarted()
        open_names = [h.symbol for h in r.desk.book.open_holdings() if not h.tsh.leaving]
        if open_names:
            await r.desk.exit_one(open_names[0], "anna")
        await asyncio.sleep(1.0)
        assert (await r.desk.flatten("anna")).state == "flat"
        await until(lambda: not r.desk.book.open_holdings(), "closed")
        await r.desk.stop()
        rows = await r.journal.tsh_rows(r.session.day)
        kinds = Counter(row.kind for row in rows)
        prints = sum((row.data.get("gap") or {}).get("prints", 0) for row in rows)
        assert await differences(r) == []
        assert kinds["opened"] == 4
        assert kinds["restored"] >= 1 or not open_names
        assert kinds["Sold"] >= 4
        assert {row.data["after"]["phase"] for row in rows} >= {"WATCH", "ARMED", "EXITING", "CLOSED"}
        assert prints + kinds["Tick"] > 0
        home, day = r.home.folder, r.session.day.isoformat()

    code, answer = await asyncio.to_thread(verified, home, day, capsys=capsys)
    assert (code, answer["same"], answer["contradictions"]) == (0, True, [])
    assert len(answer["decisions"]) == len(rows)

    tampered = tmp_path / "tampered"
    shutil.copytree(home, tampered)
    with sqlite3.connect(tampered / "journal.db") as journal:
        journal.execute("DROP TRIGGER tsh_decisions_no_update")
        journal.execute(
            "UPDATE tsh_decisions SET data = json_set(data, '$.exit.reason', 'TARGET') WHERE seq = "
            "(SELECT min(seq) FROM tsh_decisions WHERE json_extract(data, '$.exit.reason') IS NOT NULL)"
        )
    journal.close()
    code, answer = await asyncio.to_thread(verified, tampered, capsys=capsys)
    assert (code, answer["same"]) == (1, False)
    assert any("recorded TARGET" in d["finding"] for d in answer["decisions"])


async def test_a_day_that_was_not_recorded_is_told_with_those_that_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(run, ["verify-day", "--home", str(tmp_path / "nowhere")]) == 1
    assert "holds no journal yet" in capsys.readouterr().err
    assert await asyncio.to_thread(run, ["verify-day", "yesterday", "--home", str(tmp_path)]) in (1, 2)
    async with rig(tmp_path) as r:
        home = r.home.folder
    assert await asyncio.to_thread(run, ["verify-day", "--home", str(home)]) == 1
    assert "no decisions of any session are recorded" in capsys.readouterr().err
