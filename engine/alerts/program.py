"""Runs a small program (a notifier, a player) beside the engine: bounded, without a shell, without our secrets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from engine.redaction import without_secrets

TIMEOUT_S = 10.0


async def run_program(
    command: Sequence[str], *, extra: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S
) -> str:
    """Why it failed, or "" when it ended well. ``extra``: environment variables of its own."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**without_secrets(os.environ), **(extra or {})},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{command[0]} cannot be started ({error.strerror if isinstance(error, OSError) else error})"
    try:
        async with asyncio.timeout(timeout_s):
            _, said = await process.communicate()
    except TimeoutError:
        return f"{command[0]} had not ended after {timeout_s:g} s"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    words = said.decode(errors="replace").strip().splitlines()
    return f"{command[0]} ended with {process.returncode}" + (f": {words[-1][:200]}" if words else "")
