"""The way to a dask cluster: its workers, a function called on one of them, and the word that one was lost.

The only file that imports dask, and only when a cluster is asked for (extra ``cluster``).
A call is pinned to the worker it was meant for, because a lane is a thread of that worker;
a worker that dies, leaves or hangs turns its calls into ``WorkerLostError``.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from engine.errors import OperatorError

T = TypeVar("T")

CONNECT_S = 10.0
SILENT_S = 2.0  # whoever asks who is there has more to do than to wait for the answer
LOOK_S = 0.25  # between two looks whether the worker is still there
# A scheduler of ours: dask's own web server cannot be left out, so it gets any port that is free, on loopback.
NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
log = logging.getLogger(__name__)


class WorkerLostError(ConnectionError):
    """The worker died, left, or did not answer in time; what it was doing is to be done again."""


class NotWantedError(Exception):
    """The caller gave the call up before its answer came."""


class ClusterLink:
    """A connection to the scheduler at ``address``, or workers of this machine: ``local:4``."""

    def __init__(self, address: str) -> None:
        """OperatorError when dask is not installed, the address is not one, or nobody answers there."""
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise OperatorError(
                "a cluster needs dask: pip install 'tsh-console[cluster]', or leave search.cluster empty"
            ) from error
        self.address = address
        self._known: dict[str, int] = {}  # threads by worker, when the scheduler last answered
        self._local: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        kind, _, count = address.partition(":")
        if kind == "local":
            self._folder = tempfile.TemporaryDirectory(prefix="tsh-cluster-")
            self._local = distributed.LocalCluster(
                n_workers=_positive(count, address), threads_per_worker=1, processes=True, host="127.0.0.1",
                scheduler_kwargs=NO_DASHBOARD, worker_dashboard_address=None, silence_logs=logging.ERROR,
                local_directory=self._folder.name,
            )  # fmt: skip
        try:
            self._client = distributed.Client(self._local or address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a refused connection, a timeout, an address that is not one
            self._close_local()
            raise OperatorError(
                f"no dask scheduler answers at {address} ({error}): start one with 'dask scheduler', "
                "or use --cluster local:2"
            ) from error

    def workers(self) -> dict[str, int]:
        """Threads by worker, as the scheduler knows them now; none when it is gone itself.

        Asked of the scheduler each time: what the client keeps holds no workers between two refreshes.
        """
        scheduler = self._client.scheduler
        if scheduler is None:
            return {}
        try:
            found = self._client.sync(scheduler.identity, n_workers=-1, callback_timeout=SILENT_S)["workers"]
        except TimeoutError:  # it may be busy, or hang: its workers are lost when they do not answer either
            log.warning("the scheduler of %s has been silent for %g s", self.address, SILENT_S)
            return self._known
        except OSError as error:  # it restarts, or is gone; the client tries to reach it again
            log.warning("the scheduler of %s does not answer: %s", self.address, error)
            return {}
        self._known = {str(address): int(worker["nthreads"]) for address, worker in found.items()}
        return self._known

    def call(
        self,
        worker: str,
        function: Callable[..., T],
        *arguments: Any,
        timeout_s: float | None,
        label: str,
        here: Callable[[], bool] = lambda: True,
        wanted: Callable[[], bool] = lambda: True,
    ) -> T:
        """Runs ``function`` on ``worker``. WorkerLostError when it is not ``here``, or silent for ``timeout_s``.

        NotWantedError as soon as ``wanted`` says no; the worker may still finish what it began.
        """
        future = self._client.submit(
            function, *arguments, workers=[worker], allow_other_workers=False, pure=False, retries=0,
            key=f"{label}-{time.monotonic_ns()}",
        )  # fmt: skip
        home = threading.Event()
        future.add_done_callback(lambda done: home.set())
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while not home.wait(LOOK_S):
                if not wanted():
                    raise NotWantedError
                if not here():
                    raise WorkerLostError(f"{worker} has left the cluster")
                if deadline is not None and time.monotonic() > deadline:
                    raise WorkerLostError(f"{worker} did not answer in {timeout_s:g} s")
            answer: T = future.result(timeout=CONNECT_S)
        except (NotWantedError, WorkerLostError):
            raise
        except (CancelledError, OSError, UnboundLocalError) as error:
            # The scheduler gave it up or is gone (a TimeoutError is an OSError); dask answers a
            # call that is cancelled while its result is fetched with an UnboundLocalError.
            raise WorkerLostError(f"{worker}: {error or 'its work was cancelled'}") from error
        except Exception as error:
            if type(error).__name__ in ("KilledWorker", "FutureCancelledError", "CommClosedError"):
                raise WorkerLostError(f"{worker}: {error}") from error
            raise
        finally:
            future.release()
        return answer

    def close(self) -> None:
        """Leaves the cluster; workers of our own are ended."""
        self._client.close(timeout=CONNECT_S)
        self._close_local()

    def _close_local(self) -> None:
        if self._local is not None:
            self._local.close(timeout=CONNECT_S)
        if self._folder is not None:
            self._folder.cleanup()


def _positive(text: str, address: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise OperatorError(f"search.cluster is '{address}': write local:4 for four processes of this machine")
    return int(text)
