"""``tshc workbook``: the agreement report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import run
from engine.compute import ALGORITHMS
from engine.compute.workbook.libreoffice_link import Installation
from engine.home import Home

ONE = ["--set", "workbook.instances=1"]


def test_the_check_compares_both_modes_and_says_so_as_json_and_as_a_table(
    office: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["workbook", "check", "--tickers", "8", "--home", str(tmp_path), *ONE]
    assert run([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["agree"] is True
    assert told["office"].startswith("LibreOffice")
    assert told["compared_on"] == "8 seeded windows (seed 1)"
    assert {name: row["cells"] for name, row in told["algorithms"].items()} == dict.fromkeys(ALGORITHMS, 128)
    assert told["pp"] == {"cells": 8, "disagreements": 0, "largest_difference_pct": 0.0}
    assert run(call) == 0
    shown = capsys.readouterr()
    assert all(name in shown.out for name in ALGORITHMS)
    assert "the backends agree" in shown.err


async def test_with_a_training_week_in_the_home_its_windows_are_compared(
    office: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    from synthetic_week import store_week

    home = Home(tmp_path)
    await store_week(home.stocks_data, seed=11)
    call = ["workbook", "check", "--tickers", "3", "--home", str(tmp_path), *ONE, "--json"]
    assert await asyncio.to_thread(run, call) == 0
    assert json.loads(capsys.readouterr().out)["compared_on"].startswith("3 windows of the training week")


def test_without_an_office_the_check_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["workbook", "check", "--home", str(tmp_path), "--set", f"workbook.office={tmp_path}"])
    assert code == 1
    assert "no soffice.bin" in capsys.readouterr().err
