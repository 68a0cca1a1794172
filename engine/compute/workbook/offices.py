"""Which office computes on this machine: Excel through xlwings' own engine, else LibreOffice through ours.

Everything above this file knows only xlwings' public API; what differs between the offices
(how one is found, started out of sight and named) is here.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import xlwings as xw

from engine.compute.workbook.layout import FILE_NAME
from engine.compute.workbook.libreoffice_engine import Place, excel_is_here, register
from engine.compute.workbook.libreoffice_link import Installation, find_installation
from engine.compute.workbook.private_folder import PrivateFolder
from engine.errors import OperatorError

WORKBOOK_FILE = Path(__file__).parents[3] / "workbook" / FILE_NAME


@dataclass(frozen=True)
class Office:
    """An office of this machine; ``installation`` is None for Excel."""

    name: str
    installation: Installation | None

    def open_app(self, folder: PrivateFolder) -> xw.App:
        """A new instance without a window, in the thread that will use it."""
        if self.installation is None:
            _join_com()
            return xw.App(visible=False, add_book=False)
        return register().apps.add(spec=Place(self.installation, folder), add_book=False, visible=False)

    def kill(self, app: xw.App, pid: int) -> None:
        """Ends an instance by force, from any thread: what waits on it then fails."""
        if self.installation is not None:
            app.kill()
        else:  # by its pid: Excel's own objects belong to the thread that made them
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()

    @property
    def most_instances(self) -> int:
        """Excel for the Mac is one program, however often it is asked to start."""
        return 1 if self.installation is None and sys.platform == "darwin" else 32


def find_office(override: str = "") -> Office:
    """Excel where xlwings drives it, else LibreOffice; OperatorError says what is missing and what to do."""
    if excel_is_here() and not override:
        return Office("Excel", None)
    if sys.platform == "win32":
        raise OperatorError(
            "xlwings cannot drive Excel here: install Microsoft Excel and 'pip install pywin32', "
            "or set training.backend to 'native'"
        )
    return Office("LibreOffice", find_installation(override))


def private_copy(folder: PrivateFolder, source: Path = WORKBOOK_FILE) -> Path:
    """The instance's own copy of the workbook; OperatorError when it was never built."""
    if not source.exists():
        raise OperatorError(f"the workbook {source} is missing: 'tshc workbook build' makes it")
    copy = folder.path / source.name
    shutil.copyfile(source, copy)
    return copy


def _join_com() -> None:
    """On Windows every thread that talks to Excel joins COM first."""
    if sys.platform == "win32":
        import pythoncom  # type: ignore[import-not-found,unused-ignore]

        pythoncom.CoInitialize()
