"""A journal that cannot be written any more stops entries, and nothing else."""

from __future__ import annotations

from pathlib import Path

from execution_rig import rig, until

from engine.brackets import Bracket
from engine.event_bus import EventBus
from engine.events import AlertRaised
from engine.journal import JournalDb


async def test_an_event_that_cannot_be_journalled_latches_entries_and_exits_go_on(tmp_path: Path) -> None:
    never = Bracket(0.0, 45.0, 40.0, 40.0, 50.0)
    async with rig(tmp_path, brackets=(never,)) as r:
        await r.enter(r.names[:1])
        await r.protected()
        lost = await JournalDb.open(tmp_path / "lost.db")
        bus = EventBus(lost, lambda: None)
        bus.on_failure(r.desk.latch)
        bus.start()
        await lost.rows("PRAGMA query_only = ON")  # from here on every write fails
        bus.publish(AlertRaised(key="any", message="an event"))
        bus.publish(AlertRaised(key="another", message="a second event"))
        await until(lambda: r.desk.latched, "the latch")
        assert "the journal cannot be written" in r.desk.latched
        await bus.stop()
        await lost.close()
        refused = await r.enter(r.names[1:2])
        assert refused.entered == ()
        await r.desk.exit_one(r.names[0], "anna")
        await until(lambda: not r.desk.book.open_holdings(), "the exit")
