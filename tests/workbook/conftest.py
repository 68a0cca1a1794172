"""What the workbook's tests share: an office, or the reason why there is none.

With REQUIRE_OFFICE=1 (set by .ci/run where it installs one) a missing office is a failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.compute.workbook.engine import WorkbookEngine
from engine.compute.workbook.libreoffice_link import Installation, find_installation
from engine.errors import OperatorError
from engine.settings import WorkbookSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # the seeded weeks of the unit tests
sys.path.insert(0, str(Path(__file__).parents[2]))  # the sources of the workbook, which are not installed


@pytest.fixture(scope="session")
def office() -> Installation:
    try:
        return find_installation()
    except OperatorError as error:
        if os.environ.get("REQUIRE_OFFICE"):
            pytest.fail(f"this run must have an office: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def engine(office: Installation) -> Iterator[WorkbookEngine]:
    """Two offices for every test that does not kill them."""
    with WorkbookEngine(settings=WorkbookSettings(instances=2)) as opened:
        yield opened
