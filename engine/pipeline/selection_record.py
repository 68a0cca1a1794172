"""The week's selection as it is frozen into the journal, and read back by every weekday.

The journal's copy is what trades: tables may be rebuilt or wiped, the frozen groups stay
what the operator saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import StorageError
from engine.model import ParameterSet
from engine.records import FinalGroup, SearchOutcome


@dataclass(frozen=True, slots=True)
class FrozenSelection:
    """Rank 1 trades; rank 2 (if there is an alternative) runs in shadow."""

    first: FinalGroup
    second: FinalGroup | None


def frozen_payload(groups: list[FinalGroup], outcome: SearchOutcome, run: str) -> dict[str, Any]:
    """What is frozen: the selected groups whole, and how the search ended."""
    chosen = sorted((g for g in groups if g.selected is not None), key=lambda g: g.selected or 0)
    search = {k: v for k, v in asdict(outcome).items() if k != "week"}
    return {"run": run, "search": search, "groups": [_group_json(g) for g in chosen]}


def read_frozen(payload: Mapping[str, Any]) -> FrozenSelection:
    """The groups of a frozen payload; StorageError when it is not one of ours."""
    try:
        groups = {g["selected"]: _group(g) for g in payload["groups"]}
        return FrozenSelection(groups[1], groups.get(2))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"the frozen selection in the journal cannot be read ({error!r}); run 'tshc weekend --replace'"
        ) from error


def _group_json(group: FinalGroup) -> dict[str, Any]:
    values = asdict(group)
    values["members"] = [[m.algorithm, list(m.values)] for m in group.members]
    values["picks"] = group.picks.hex()
    return values


def _group(values: Mapping[str, Any]) -> FinalGroup:
    given = dict(values)
    given["members"] = tuple(ParameterSet(name, tuple(steps)) for name, steps in values["members"])
    given["picks"] = bytes.fromhex(values["picks"])
    for name in ("day_means", "day_picks", "holdout_picks"):
        given[name] = tuple(values[name])
    return FinalGroup(**given)
