"""Compute: windows and parameter sets in, buy flags and PP out.

``open_engine(name)`` gives the backend that the settings name; callers know only the
``ComputeEngine`` protocol.
"""

from __future__ import annotations

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.compute.algorithms import ALGORITHMS
from engine.compute.native import NativeEngine
from engine.compute.protocol import ComputeEngine, PreparingEngine
from engine.errors import UsageError
from engine.model import Evaluation, ExitModel, ParameterSet

__all__ = [
    "ALGORITHMS",
    "ComputeEngine",
    "Evaluation",
    "NativeEngine",
    "ParameterSet",
    "PreparingEngine",
    "open_engine",
]


def open_engine(
    name: str,
    *,
    brackets: BracketTable = DEFAULT_BRACKETS,
    exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE,
) -> ComputeEngine:
    """The backend called ``name``; UsageError when this build has none of that name."""
    if name == "native":
        return NativeEngine(brackets, exit_model)
    if name == "workbook":
        raise UsageError("the workbook backend is not part of this build: set training.backend to 'native'")
    raise UsageError(f"unknown compute backend '{name}': the valid ones are 'native' and 'workbook'")
