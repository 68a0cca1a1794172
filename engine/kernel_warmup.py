"""First use compiles the kernels once, in a process of its own, and says how far it is.

The engine stays responsive meanwhile (streams, exits, consoles); runs that compute wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time

from engine.kernel_cache import compiled_note
from engine.redaction import without_secrets

log = logging.getLogger(__name__)


class KernelWarmup:
    """Runs ``python -m engine.compute.warm_kernels`` and follows its progress lines; not when all are compiled."""

    def __init__(self) -> None:
        self.text = "starting"  # "compiling kernels 7/14: donch"; "" when all are ready
        self.seconds: float | None = None  # wall time of the warm-up, once ready
        self._failed = ""
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="kernel warm-up")

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def not_ready(self) -> str:
        """Why a computing run cannot start yet, or "" when it can."""
        if self._failed:
            return f"the kernels could not be compiled: {self._failed}; 'tshc engine logs' has the details"
        return ""

    async def ready(self) -> None:
        """Waits until the kernels are compiled (or could not be)."""
        await self._ended.wait()

    async def _run(self) -> None:
        began = time.monotonic()
        try:
            if compiled_note().exists():
                return
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "engine.compute.warm_kernels",
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=without_secrets(os.environ),
            )
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            async for line in self._process.stdout:
                with contextlib.suppress(ValueError, KeyError):
                    step = json.loads(line)
                    self.text = f"compiling kernels {step['done']}/{step['total']}: {step['name']}"
            errors = (await self._process.stderr.read()).decode(errors="replace")
            if await self._process.wait() != 0:
                log.error("kernel warm-up failed: %s", errors)
                self._failed = errors.strip().splitlines()[-1] if errors.strip() else "no message"
        finally:
            self.text = ""
            self.seconds = time.monotonic() - began
            self._ended.set()
