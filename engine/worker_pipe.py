"""JSON lines between the engine and a worker process: the wire of training and of group search.

The one thing to know: the pipe is also the life line. The engine writes one request line
and then command lines to the worker's stdin; when that stdin ends, the engine is gone and
the worker finishes its present unit of work and exits, so nothing outlives its owner. The
worker answers on stdout with ``{"progress": {...}}`` (at most 4 Hz), then exactly one of
``{"result": {...}}`` and ``{"error": "plain sentence"}``; its stderr is its log.

``WorkerClient`` is the engine's side, ``WorkerServer`` and ``serve`` the worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from engine.errors import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE, OperatorError, RefusedError, UsageError
from engine.redaction import without_secrets

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.25  # wall seconds between two progress lines: 4 Hz
LINE_LIMIT = 64 * 1024 * 1024  # bytes; a result with hundreds of groups is one line
COMMANDS = ("pause", "resume", "stop")
KEEP_STDERR = 50  # lines of a worker's log that its owner remembers

_ERROR_CLASSES: dict[int, type[OperatorError]] = {EXIT_REFUSED: RefusedError, EXIT_USAGE: UsageError}


class WorkerClient:
    """The engine's side: starts ``python -m <module>``, sends commands, reads progress and the result.

    ``name`` is how a message calls the worker ("training worker"); ``remedy`` ends the
    sentence when it dies ("run 'tshc weekend' again: it resumes ..."). One client is one run.
    """

    def __init__(
        self,
        module: str,
        *,
        name: str,
        remedy: str,
        on_log: Callable[[str], None] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.module, self.name, self.remedy = module, name, remedy
        self.result: dict[str, Any] | None = None
        self._arguments = tuple(arguments)
        self._on_log = on_log
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: deque[str] = deque(maxlen=KEEP_STDERR)
        self._log_task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def last_log_line(self) -> str:
        return next((line for line in reversed(self._stderr) if line.strip()), "")

    async def start(self, request: Mapping[str, Any]) -> None:
        """Starts the process and hands it the request. RuntimeError when this client was used before."""
        if self._process is not None:
            raise RuntimeError(f"the {self.name} was started before: one client is one run")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.module, *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            env=without_secrets(os.environ),  # it never talks to a broker
            # Ctrl-C in a terminal is the engine's to answer. Not a session of its own: Linux shares processors out
            # by session first, and niceness counts within one (sched_autogroup): a worker would be our equal.
            process_group=0 if os.name == "posix" else None,
        )  # fmt: skip
        self._log_task = asyncio.create_task(self._read_log())
        await self._write(request)

    async def command(self, command: str) -> bool:
        """Sends pause, resume or stop; False when the worker has already ended."""
        if command not in COMMANDS:
            raise ValueError(f"'{command}' is not one of {', '.join(COMMANDS)}")
        if not self.running:
            return False
        return await self._write({"command": command})

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Each progress payload as it comes; ends when ``result`` is set.

        Raises the worker's own OperatorError, or one that quotes its last log line when it
        died without a result.
        """
        process = self._started()
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                log.warning("the %s wrote a line that is not JSON: %.200r", self.name, line)
                continue
            if "progress" in message:
                yield message["progress"]
            elif "result" in message:
                self.result = message["result"]
            elif "error" in message:
                await self._ended()
                raise _ERROR_CLASSES.get(int(message.get("exit_code", EXIT_FAILED)), OperatorError)(
                    message["error"]
                )
        code = await self._ended()
        if self.result is None:
            raise OperatorError(self._death(code))

    async def run(
        self, request: Mapping[str, Any], on_progress: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """``start``, every message, the result. Cancelling it ends the worker after its unit of work."""
        await self.start(request)
        try:
            async for progress in self.messages():
                if on_progress is not None:
                    on_progress(progress)
        finally:
            await self.close()
        assert self.result is not None
        return self.result

    async def close(self, wait_s: float = 10.0) -> None:
        """Ends the life line and waits; a worker that does not finish in ``wait_s`` wall seconds is killed.

        Killing is safe by the workers' contract: their units of work are all or nothing.
        """
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            drain = asyncio.create_task(self._drain())
            try:
                await asyncio.wait_for(process.wait(), wait_s)
            except TimeoutError:
                log.warning("the %s (pid %d) did not end in %.0f s: killed", self.name, process.pid, wait_s)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await drain
        await self._ended()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._process

    async def _write(self, message: Mapping[str, Any]) -> bool:
        stdin = self._started().stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False  # it died; messages() tells why
        return True

    async def _drain(self) -> None:
        """Reads what nobody asks for any more, so that a full pipe cannot hold the worker."""
        stdout = self._started().stdout
        assert stdout is not None
        with contextlib.suppress(RuntimeError):  # another reader is still waiting on the stream
            while await stdout.read(65536):
                pass

    async def _read_log(self) -> None:
        stderr = self._started().stderr
        assert stderr is not None
        while line := await stderr.readline():
            text = line.decode(errors="replace").rstrip()
            self._stderr.append(text)
            if self._on_log is not None:
                self._on_log(text)

    async def _ended(self) -> int:
        code = await self._started().wait()
        if self._log_task is not None:
            await self._log_task
        return code

    def _death(self, code: int) -> str:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        said = f"; its last words: {self.last_log_line}" if self.last_log_line else ""
        return f"the {self.name} {how} without a result{said}; {self.remedy}"


class WorkerServer:
    """The worker's side: the request, the commands, and where progress goes. Used inside ``serve``."""

    def __init__(self, request: dict[str, Any], output: int, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.orphaned = False  # the engine is gone
        self._output, self._loop = output, loop
        self._handler: Callable[[str], None] | None = None
        self._waiting: list[str] = []
        self._pending: Mapping[str, Any] | None = None
        self._sent_at = -PROGRESS_INTERVAL

    def listen(self, handler: Callable[[str], None]) -> None:
        """``handler("pause" | "resume" | "stop")`` in the event loop; a lost engine is a "stop"."""
        self._handler = handler
        for command in self._waiting:
            handler(command)
        self._waiting.clear()

    @property
    def progress_due(self) -> bool:
        """Whether ``progress`` would send now: lets a worker skip building a payload nobody gets."""
        return time.monotonic() - self._sent_at >= PROGRESS_INTERVAL

    def progress(self, payload: Mapping[str, Any], *, force: bool = False) -> None:
        """Sends the latest progress at most 4 times a second; ``force`` (a change of state) sends now."""
        self._pending = payload
        if force or self.progress_due:
            self.flush()

    def flush(self) -> None:
        """Sends the progress that is still held back."""
        if self._pending is not None:
            self.send({"progress": self._pending})
            self._pending, self._sent_at = None, time.monotonic()

    def send(self, message: Mapping[str, Any]) -> None:
        """One line to the engine. A reader that is gone makes this worker an orphan, not a crash."""
        if self.orphaned:
            return
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except OSError:
            self._lost()

    def _lost(self) -> None:
        self.orphaned = True
        self._dispatch("stop")

    def _dispatch(self, command: str) -> None:
        if self._handler is None:
            self._waiting.append(command)
        else:
            self._handler(command)

    def _received(self, line: bytes | None) -> None:
        """One line of stdin, in the event loop; None at its end."""
        if line is None:
            self._lost()
            return
        try:
            command = json.loads(line)["command"]
        except (ValueError, KeyError, TypeError):
            log.warning("not a command: %.200r", line)
            return
        if command in COMMANDS:
            self._dispatch(command)
        else:
            log.warning("unknown command %r", command)


class _Lines:
    """Lines of a file descriptor, without buffered stdin: a daemon thread would keep its lock at exit."""

    def __init__(self, source: int) -> None:
        self._source, self._rest = source, b""

    def next(self) -> bytes | None:
        """The next line without its end, or None at the end of the file."""
        while b"\n" not in self._rest:
            try:
                block = os.read(self._source, 65536)
            except OSError:
                return None
            if not block:
                return None
            self._rest += block
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def serve(work: Callable[[WorkerServer], Awaitable[Mapping[str, Any]]], *, niceness: int = 10) -> int:
    """Runs a worker: reads the request, awaits ``work(server)``, sends its answer; returns the exit code.

    What ``work`` returns is the result; an OperatorError is sent as its sentence; any other
    exception goes to stderr with its traceback and is sent as one plain sentence. Nobody
    reads stdout but the engine: what a library prints there is sent to stderr instead.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(niceness)
    output = os.dup(1)
    os.dup2(2, 1)
    lines = _Lines(0)
    first = lines.next()
    if first is None:
        log.error("no request: this program is started by the engine")
        return EXIT_USAGE
    return asyncio.run(_serve(work, json.loads(first), lines, output))


async def _serve(
    work: Callable[[WorkerServer], Awaitable[Mapping[str, Any]]],
    request: dict[str, Any],
    lines: _Lines,
    output: int,
) -> int:
    loop = asyncio.get_running_loop()
    server = WorkerServer(request, output, loop)

    def listen() -> None:
        while True:
            line = lines.next()
            try:
                loop.call_soon_threadsafe(server._received, line)
            except RuntimeError:
                return  # the loop has ended: so has the work
            if line is None:
                return

    threading.Thread(target=listen, name="commands", daemon=True).start()
    try:
        result = await work(server)
    except OperatorError as error:
        server.flush()
        server.send({"error": str(error), "exit_code": error.exit_code})
        log.error("%s", error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last border of the process: told and logged, never lost
        traceback.print_exc()
        server.flush()
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        server.send({"error": f"internal error in the worker, {what}; the log has the details", "exit_code": 1})
        return EXIT_FAILED
    server.flush()
    server.send({"result": result})
    return EXIT_DONE
