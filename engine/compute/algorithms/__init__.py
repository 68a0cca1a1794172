"""The algorithms: one file each, found by looking into this folder.

A file that defines ``RULE`` is an algorithm; adding an eleventh is adding a file. Tables,
screens and the search take their order and their parameters from here.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import MappingProxyType

from engine.compute.algorithms.rule import Rule
from engine.spaces import ParameterSpace


def find_rules() -> dict[str, Rule]:
    """Every rule of this folder by name, in their order; ValueError when two claim one name or order."""
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    rules = sorted((m.RULE for m in modules if isinstance(getattr(m, "RULE", None), Rule)), key=lambda r: r.order)
    names = [rule.space.algorithm for rule in rules]
    if len(set(names)) != len(names) or len({rule.order for rule in rules}) != len(rules):
        raise ValueError(f"two algorithm files share a name or an order: {', '.join(names)}")
    return dict(zip(names, rules, strict=True))


RULES = MappingProxyType(find_rules())
ALGORITHMS: dict[str, ParameterSpace] = {name: rule.space for name, rule in RULES.items()}

__all__ = ["ALGORITHMS", "RULES"]
