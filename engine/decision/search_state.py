"""A search between two moments of its life: everything it needs to go on after kill -9.

Small, because an anchor's walk is kept as a *cursor*: the members it stands on and, for each of
them, the candidate that comes next. The bit sets, the candidate lists and the bounds are
functions of the problem and are rebuilt. Times are durations, so a wall clock that was moved
means nothing.

Under a quota of tests that is not enough: a threshold that rose on the way would prune what the
walk had kept, and the last digit would differ. There an anchor under way is kept whole, a few
hundred kilobytes a thread at most (``KeptWalk``).

The file is a SHA-256, then a compressed msgpack document; it is replaced atomically, and a
file that is damaged or belongs to another problem is not read: the search begins anew.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgpack

from engine.decision.top_groups import FoundGroup, TopGroups
from engine.decision.watchdog import LaneAccount
from engine.errors import OperatorError

FORMAT = 2
DIGEST_BYTES = 32

Place = Literal["fresh", "stalled", "deeper", "given_up"]


class CheckpointError(OperatorError):
    """The checkpoint cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk stands. Local items of the anchor's projection; ``following`` -1 at a frame's end."""

    path: tuple[int, ...]  # member of each frame; the first is the anchor's own frame and unused
    following: tuple[int, ...]  # next candidate of each frame
    cut: int  # best sum of subtrees that the pass left for a deeper one


@dataclass(frozen=True, slots=True)
class KeptWalk:
    """A walk under a quota after a slice, whole: whoever goes on from it repeats nothing and differs in nothing.

    Arrays as bytes, in the order of their fields in ``ParkedStack`` and ``Hits``.
    """

    stack: tuple[bytes, ...]  # meta, items, path, position, width
    candidates: tuple[bytes, ...]  # of each frame
    best: tuple[bytes, ...]
    hits: tuple[bytes, ...]  # found and not yet handed in: when they are is part of the result
    threshold: float  # the anchor's own
    groups: tuple[FoundGroup, ...]  # handed in to the anchor's own best

    def top(self, limit: int) -> TopGroups:
        """The anchor's own best groups as they were."""
        top = TopGroups(limit, self.threshold)
        top.offer(self.groups)
        return top


@dataclass(frozen=True, slots=True)
class JobState:
    """One anchor that is not closed."""

    anchor: int
    bound: int
    level: int
    counted_size: int
    tests: int
    place: Place
    cursor: Cursor | None = None
    pass_frequent: int = 0  # new groups of its pass that the walk up to the cursor has met
    pass_counted: int = 0  # groups of its pass that are in ``SearchState.frequent``
    kept: KeptWalk | None = None  # under a quota, in the place of a cursor


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """The evidence lane after its last whole block."""

    observed: float
    best: tuple[float, ...]
    groups: int
    cut: bool
    quota: int  # groups an anchor
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class SearchState:
    """The search at the end of everybody's last slice."""

    elapsed_s: float
    level: int
    jobs: tuple[JobState, ...]
    top: tuple[FoundGroup, ...]
    round_threshold: float
    allowance: int
    tests: int
    frequent: int
    lanes: tuple[LaneAccount, ...]
    evidence_account: LaneAccount
    evidence: EvidenceState | None = None


class Checkpoint:
    """The file of one search. ``key`` names the problem and the settings: a digest of all its inputs."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path, key

    def write(self, state: SearchState) -> None:
        """Replaces the file whole. OSError when it cannot be written.

        What it says is on disk when this returns; after a power cut it may still be the file before that is found.
        """
        document = {"format": FORMAT, "key": self._key, "state": state}
        body = zlib.compress(msgpack.packb(document, default=_by_name), 1)
        fresh = self.path.with_suffix(self.path.suffix + ".new")
        with fresh.open("wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def read(self) -> SearchState | None:
        """What was written last; None when there is no file. CheckpointError when it must not be used."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read ({error}): the search begins anew") from error
        digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise CheckpointError(f"{self.path} is damaged: the search begins anew")
        document = msgpack.unpackb(zlib.decompress(body), use_list=False)
        if document["format"] != FORMAT or document["key"] != self._key:
            raise CheckpointError(f"{self.path} belongs to another search: this one begins anew")
        return _state(document["state"])

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def digest_of(parts: Iterable[bytes]) -> str:
    """One name for all inputs of a search."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _by_name(value: Any) -> dict[str, Any]:
    """A dataclass as the file holds it, one level deep: ``asdict`` copies ten thousand groups for seconds."""
    return {name: getattr(value, name) for name in value.__slots__}


def _job(values: dict[str, Any]) -> JobState:
    cursor, kept = values["cursor"], values["kept"]
    if kept is not None:
        kept = KeptWalk(**{**kept, "groups": tuple(FoundGroup(**group) for group in kept["groups"])})
    return JobState(**{**values, "cursor": None if cursor is None else Cursor(**cursor), "kept": kept})


def _state(values: dict[str, Any]) -> SearchState:
    jobs = tuple(_job(job) for job in values["jobs"])
    evidence = values["evidence"]
    return SearchState(
        **{
            **values,
            "jobs": jobs,
            "top": tuple(FoundGroup(**group) for group in values["top"]),
            "lanes": tuple(LaneAccount(**account) for account in values["lanes"]),
            "evidence_account": LaneAccount(**values["evidence_account"]),
            "evidence": None if evidence is None else EvidenceState(**evidence),
        }
    )
