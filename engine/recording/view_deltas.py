"""What changed between two states of the screens, small enough to be kept four times a second.

A tree is what a view is when it is written down: None, bool, int, float, str, lists, and
dicts with text keys. ``patched(old, difference(old, new))`` is ``new`` to the last type and
digit. Patching copies only what changes: a subtree that stayed is the same object, so that
"is it the same object" tells a reader what to draw anew.
"""

from __future__ import annotations

import math
from typing import Any

Tree = Any
Patch = list[Any]  # one of the three forms below, itself a tree but for the keys of a list's patch

REPLACED = 0  # [REPLACED, tree]
DICT = 1  # [DICT, {key: patch}, removed keys...]
LIST = 2  # [LIST, new length, index, patch, index, patch, ...], indices rising


def difference(old: Tree, new: Tree) -> Patch | None:
    """The patch that makes ``new`` of ``old``; None when they are the same, in type too (1 is not True)."""
    if old is new:
        return None
    if type(old) is not type(new):
        return [REPLACED, new]
    if isinstance(new, dict):
        return _dict_difference(old, new)
    if isinstance(new, list):
        return _list_difference(old, new)
    same = old == new and not (isinstance(new, float) and math.copysign(1, old) != math.copysign(1, new))
    return None if same else [REPLACED, new]


def _dict_difference(old: dict[str, Tree], new: dict[str, Tree]) -> Patch | None:
    changed: dict[str, Patch] = {}
    for key, value in new.items():
        patch: Patch | None = [REPLACED, value]
        if key in old:
            patch = difference(old[key], value)
        if patch is not None:
            changed[key] = patch
    removed = [key for key in old if key not in new]
    if not removed and not changed:
        return None
    return [DICT, changed, *removed]


def _list_difference(old: list[Tree], new: list[Tree]) -> Patch | None:
    entries: list[Any] = []
    for index, value in enumerate(new):
        patch: Patch | None = [REPLACED, value]
        if index < len(old):
            patch = difference(old[index], value)
        if patch is not None:
            entries += [index, patch]
    if not entries and len(old) == len(new):
        return None
    return [LIST, len(new), *entries]


def patched(old: Tree, patch: Patch | None) -> Tree:
    """``old`` with ``patch`` applied, as a new tree where it changed. ValueError: not a patch for ``old``."""
    if patch is None:
        return old
    try:
        form = patch[0]
        if form == REPLACED:
            return patch[1]
        if form == DICT and isinstance(old, dict):
            kept = {key: value for key, value in old.items() if key not in patch[2:]}
            return kept | {key: patched(old.get(key), inner) for key, inner in patch[1].items()}
        if form == LIST and isinstance(old, list):
            return _patched_list(old, patch)
    except (IndexError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a patch: {error}") from error
    raise ValueError(f"a patch of form {form!r} does not fit a {type(old).__name__}")


def _patched_list(old: list[Tree], patch: Patch) -> list[Tree]:
    length, entries = patch[1], patch[2:]
    result: list[Tree] = [*old[:length], *([None] * (length - len(old)))]
    for index, inner in zip(entries[::2], entries[1::2], strict=True):
        result[index] = patched(old[index] if index < len(old) else None, inner)
    return result
