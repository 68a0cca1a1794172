"""The report of a run, for a person: every stage with its time, result and counts, and the day's money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

MARKS = {"done": "✓", "failed": "✗", "running": "…"}


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints one run of ``engine.pipeline.report.run_report`` as a table."""
    out = console or Console()
    table = Table(title=f"{report['kind']} {report['run']}: {report['state']}", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("result", overflow="fold")
    for stage in report["stages"]:
        seconds = stage["seconds"]
        table.add_row(
            MARKS.get(stage["state"], "·"),
            stage["stage"],
            "" if seconds is None else f"{seconds:,.1f}",
            stage["summary"],
        )
    out.print(table, highlight=False, markup=False)
    if report["summary"]:
        out.print(report["summary"], highlight=False, markup=False)
    _print_trades(report, out)


def _print_trades(report: Mapping[str, Any], out: Console) -> None:
    managed = next((s for s in report["stages"] if s["stage"] == "tsh_trade_management"), None)
    trades = managed["counts"].get("trades", []) if managed else []
    if not trades:
        return
    table = Table(box=None, title="trades", title_justify="left")
    for name in ("symbol", "shares", "entry $", "exit $", "P&L $", "exit by"):
        table.add_column(name, justify="left" if name in ("symbol", "exit by") else "right")
    for trade in trades:
        table.add_row(
            trade["symbol"],
            f"{trade['shares']:,}",
            trade["entry"],
            trade["exit"],
            f"{float(trade['pnl']):+,.2f}",
            trade["reason"],
        )
    out.print(table, highlight=False, markup=False)
