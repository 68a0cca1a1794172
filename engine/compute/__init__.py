"""Compute: windows and parameter sets in, buy flags and PP out.

``open_engine(name)`` gives the backend that the settings name; callers know only the
``ComputeEngine`` protocol.
"""

from __future__ import annotations

from engine.brackets import DEFAULT_BRACKETS, BracketTable
from engine.compute.algorithms import ALGORITHMS
from engine.compute.native import NativeEngine
from engine.compute.protocol import ComputeEngine, OfficeEngine, OfficeStatus, PreparingEngine
from engine.errors import UsageError
from engine.model import Evaluation, ExitModel, ParameterSet
from engine.settings import WorkbookSettings

__all__ = [
    "ALGORITHMS",
    "ComputeEngine",
    "Evaluation",
    "NativeEngine",
    "OfficeEngine",
    "OfficeStatus",
    "ParameterSet",
    "PreparingEngine",
    "close_engine",
    "open_engine",
]


def open_engine(
    name: str,
    *,
    brackets: BracketTable = DEFAULT_BRACKETS,
    exit_model: ExitModel = ExitModel.TARGET_OR_CLOSE,
    workbook: WorkbookSettings | None = None,
) -> ComputeEngine:
    """The backend called ``name``; ``workbook`` means something to the workbook only.

    UsageError when there is none of that name, OperatorError when this machine has no
    office for it. What is an ``OfficeEngine`` wants to be closed (``close_engine``).
    """
    if name == "native":
        return NativeEngine(brackets, exit_model)
    if name == "workbook":
        from engine.compute.workbook.engine import WorkbookEngine  # xlwings loads only where it is wanted

        return WorkbookEngine(brackets, exit_model, workbook)
    raise UsageError(f"unknown compute backend '{name}': the valid ones are 'native' and 'workbook'")


def close_engine(engine: ComputeEngine) -> None:
    """Ends what the engine started; nothing for one that starts nothing."""
    if isinstance(engine, OfficeEngine):
        engine.close()
