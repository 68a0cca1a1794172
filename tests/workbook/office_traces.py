"""What a run of offices leaves behind, as the fault tests look for it: processes and instance folders."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from engine.compute.workbook.private_folder import instances_root


def offices_of(*owners: int) -> list[psutil.Process]:
    """Office processes below these processes, dead ones left out."""
    found = []
    for owner in owners or (os.getpid(),):
        for child in psutil.Process(owner).children(recursive=True):
            if child.name().startswith("soffice") and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def folders_of(owner: int) -> list[Path]:
    """Instance folders (profile, workbook copy, lock files) that a process made."""
    root = instances_root()
    return sorted(root.glob(f"{owner}-*")) if root.is_dir() else []
