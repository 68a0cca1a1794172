"""What became of scored tickers: their PP in the session that followed, from the bars of the daily snapshot.

Kept in the journal as soon as the bars are there, because tables of bars are replaced and
a judgement over months needs all its days. A ticker that has left the universe has no bar
and gets no outcome; the evaluation counts it as missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from engine.brackets import BracketTable
from engine.errors import DataError
from engine.journal import JournalDb
from engine.model import Bools, ExitModel, Panel, profit_percentage
from engine.settings import Settings
from engine.storage.stocks_data_db import StocksDataDb

if TYPE_CHECKING:  # commands read outcomes without an engine: its room loads the broker and the kernels
    from engine.pipeline.engine_room import EngineRoom


def pp_of(
    panel: Panel, session: date, symbols: Collection[str], brackets: BracketTable, exit_model: ExitModel
) -> dict[str, int]:
    """PP (micro-percent) of those of ``symbols`` that have a usable bar of ``session`` in the panel."""
    if session not in panel.sessions:
        return {}
    at = panel.sessions.index(session)
    rows = [i for i, symbol in enumerate(panel.symbols) if symbol in symbols]
    bars = panel.bars[rows, at]
    sound: Bools = np.logical_and(np.isfinite(bars).all(axis=1), (bars[:, :4] > 0).all(axis=1))
    rows = [row for row, ok in zip(rows, sound, strict=True) if ok]
    values = profit_percentage(panel.bars[rows, at], brackets, exit_model)
    return {panel.symbols[row]: int(value) for row, value in zip(rows, values, strict=True)}


async def outcomes_at_hand(
    journal: JournalDb, stocks: StocksDataDb, settings: Settings
) -> dict[date, Mapping[str, int]]:
    """Outcomes that the stored bars give and the journal does not have yet."""
    waiting = await journal.sessions_without_outcome()
    if not waiting:
        return {}
    try:
        _, panel = await stocks.dictionary()
    except DataError:  # no bars are stored now: nothing is at hand
        return {}
    brackets, exit_model = settings.execution.bracket_table(), settings.training.exit_model
    found = {
        session: pp_of(panel, session, frozenset(symbols), brackets, exit_model)
        for session, symbols in waiting.items()
        if session in panel.sessions
    }
    return {session: values for session, values in found.items() if values}


async def record_outcomes(room: EngineRoom) -> None:
    """After a snapshot: keeps what the new bars say about earlier scores."""
    for session, values in (await outcomes_at_hand(room.journal, room.stocks, room.settings)).items():
        await room.journal.record_outcomes(session, values)
