"""The pipe between the engine and its workers, with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from engine.errors import OperatorError, RefusedError
from engine.worker_pipe import WorkerClient

WORKER = """
import asyncio, os, sys
from engine.errors import RefusedError
from engine.worker_pipe import serve

async def work(server):
    kind = server.request["kind"]
    if kind == "answer":
        for i in range(1000):
            server.progress({"i": i})
        print("a library talks on stdout")
        return {"got": server.request, "nice": os.nice(0), "keys": [k for k in os.environ if k[:5] == "APCA_"]}
    if kind == "refuse":
        raise RefusedError("the tables are locked: wait for the other run")
    if kind == "crash":
        raise ZeroDivisionError("by accident")
    if kind == "die":
        print("memory is gone", file=sys.stderr, flush=True)
        os._exit(9)
    heard, stop = [], asyncio.Event()
    def command(name):
        heard.append(name)
        server.progress({"heard": list(heard)}, force=True)
        if name == "stop":
            stop.set()
    server.listen(command)
    server.progress({"heard": []}, force=True)
    await stop.wait()
    with open(server.request["trace"], "w") as f:
        f.write(f"finished orphaned={server.orphaned}")
    return {"heard": heard}

sys.exit(serve(work))
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerClient:
    (tmp_path / "toy_worker.py").write_text(textwrap.dedent(WORKER))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    return WorkerClient("toy_worker", name="toy worker", remedy="start it again: it resumes")


async def test_a_worker_gets_the_request_and_its_result_comes_back(
    client: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APCA_API_SECRET_KEY", "hidden")
    seen: list[dict[str, int]] = []
    result = await client.run({"kind": "answer", "n": 3}, seen.append)
    assert result["got"] == {"kind": "answer", "n": 3}
    assert result["keys"] == [], "a worker is not given the broker's keys"
    assert seen[-1] == {"i": 999}, "the last progress is never lost"
    assert len(seen) < 20, "progress is coalesced"
    if sys.platform != "win32":
        assert result["nice"] >= 10
    assert not client.running


async def test_a_refusal_arrives_as_its_own_sentence_and_class(client: WorkerClient) -> None:
    with pytest.raises(RefusedError, match="wait for the other run"):
        await client.run({"kind": "refuse"})


async def test_a_crash_is_one_sentence_and_its_traceback_is_in_the_log(client: WorkerClient) -> None:
    with pytest.raises(OperatorError, match="ZeroDivisionError: by accident") as caught:
        await client.run({"kind": "crash"})
    assert "\n" not in str(caught.value)
    assert "ZeroDivisionError" in client.last_log_line


async def test_a_worker_that_dies_is_told_with_its_last_words_and_the_remedy(client: WorkerClient) -> None:
    with pytest.raises(OperatorError, match=r"code 9.*memory is gone.*start it again: it resumes"):
        await client.run({"kind": "die"})


async def test_commands_reach_the_worker_in_order(client: WorkerClient, tmp_path: Path) -> None:
    await client.start({"kind": "wait", "trace": str(tmp_path / "trace")})
    with pytest.raises(ValueError, match="explode"):
        await client.command("explode")
    for command in ("pause", "resume", "stop"):
        assert await client.command(command)
    async for _ in client.messages():
        pass
    assert client.result == {"heard": ["pause", "resume", "stop"]}
    assert not await client.command("pause"), "nobody hears a command after the end"
    await client.close()


async def test_a_worker_whose_engine_is_gone_finishes_and_ends(client: WorkerClient, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    await client.start({"kind": "wait", "trace": str(trace)})
    await anext(client.messages())
    await client.close()
    assert trace.read_text() == "finished orphaned=True"
    assert client.result is None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_a_killed_worker_is_named_with_its_signal(client: WorkerClient, tmp_path: Path) -> None:
    await client.start({"kind": "wait", "trace": str(tmp_path / "trace")})
    messages = client.messages()
    await anext(messages)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(OperatorError, match="ended by signal 9"):
        await asyncio.wait_for(anext(messages), 60)
    await client.close()
