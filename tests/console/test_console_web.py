"""``tshc web``: this machine alone, looking alone; driven as a browser drives it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from console_harness import RecordedEngine, until

from app.cli_web import checked_host, console_command, make_server, own_request
from engine.errors import OperatorError, UsageError
from engine.home import Home

pytest.importorskip("textual_serve", reason="the optional dependency 'web' is not installed")

ROOT = Path(__file__).parents[2]
F12 = "\x1b[24~"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.7", "::1"])
def test_loopback_hosts_are_taken(host: str) -> None:
    assert checked_host(host) == ("127.0.0.1" if host == "localhost" else host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.10", "example.org", "", "8.8.8.8", "127.0.0.1.example.org"]
)
def test_every_other_host_is_refused_with_the_way_to_do_it(host: str) -> None:
    with pytest.raises(UsageError, match="no password") as refused:
        checked_host(host)
    assert "ssh -L" in str(refused.value)


def test_the_command_line_refuses_another_host_before_anything_listens(home: Home) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "app.cli", "--home", str(home.folder), "web", "--host", "0.0.0.0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.startswith("tshc: --host 0.0.0.0: the page has no password")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_every_window_is_a_read_only_console(home: Home) -> None:
    assert console_command(home).endswith("console --read-only")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"Host": "127.0.0.1:8642"}, True),
        ({"Host": "localhost:8642", "Origin": "http://localhost:8642"}, True),
        ({"Host": "127.0.0.1:8642", "Origin": "http://127.0.0.1:8642"}, True),
        ({"Host": "127.0.0.1:8642", "Origin": "https://example.org"}, False),
        ({"Host": "127.0.0.1:8642", "Origin": "null"}, False),
        ({"Host": "rebound.example.org:8642"}, False),
        ({"Host": "127.0.0.1:9999"}, False),
        ({}, False),
    ],
)
def test_only_requests_of_its_own_page_are_answered(headers: dict[str, str], ours: bool) -> None:
    assert own_request(headers, "127.0.0.1:8642") is ours


def test_without_the_optional_package_the_sentence_says_how_to_get_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    with pytest.raises(OperatorError, match=r"pip install 'tsh-console\[web\]'"):
        make_server(home, "127.0.0.1", 8642)


# --- the real thing ------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def page(engine: RecordedEngine) -> AsyncIterator[tuple[str, psutil.Process]]:
    """The address of a running ``tshc web`` on the recorded engine's home."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "--home", str(engine.home.folder), "web", "--port", str(port),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = (await process.stderr.readline()).decode()
    assert f"http://127.0.0.1:{port}" in said, said
    await until(lambda: listening(process.pid))
    yield f"127.0.0.1:{port}", psutil.Process(process.pid)
    process.terminate()
    async with asyncio.timeout(120):
        assert await process.wait() == 0


def listening(pid: int) -> list[str]:
    """The addresses that a process listens on."""
    connections = psutil.Process(pid).net_connections("inet")
    return [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN]


async def test_it_listens_on_loopback_alone(page: tuple[str, psutil.Process]) -> None:
    address, process = page
    assert listening(process.pid) == ["127.0.0.1"]
    port = int(address.rpartition(":")[2])
    for info in psutil.net_if_addrs().values():
        for one in info:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                with pytest.raises(OSError):
                    socket.create_connection((one.address, port), timeout=2).close()


async def test_a_window_shows_the_account_and_every_command_from_it_is_refused(
    page: tuple[str, psutil.Process], engine: RecordedEngine
) -> None:
    address, _ = page
    seen = bytearray()
    async with aiohttp.ClientSession(headers={"Origin": f"http://{address}"}) as browser:
        async with browser.get(f"http://{address}/") as answer:
            assert answer.status == 200
            assert f"ws://{address}/ws" in await answer.text()
        async with browser.ws_connect(f"ws://{address}/ws?width=140&height=40") as window:

            async def read() -> None:
                async for message in window:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        seen.extend(message.data)

            reading = asyncio.create_task(read())
            await until(lambda: b"READ-ONLY" in seen and b"+182.40" in seen, 120)
            assert [a.caller.name for a in engine.server._attached] == ["web"]
            assert engine.server.consoles == 0  # an alert is not told by a page that rings nobody
            for keys in ("w", "d", F12, "4", "a", "r", "5", "x", "2", "s"):
                seen.clear()
                await window.send_json(["stdin", keys])
                if keys.isdigit():
                    await asyncio.sleep(0.5)
                else:
                    await until(lambda: b"read-only" in seen, 120)
            reading.cancel()
    assert engine.commands == []
    attached = [a.caller for a in engine.server._attached]
    assert all(caller.read_only for caller in attached)


async def test_another_web_page_in_the_same_browser_is_turned_away(page: tuple[str, psutil.Process]) -> None:
    address, _ = page
    async with aiohttp.ClientSession() as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"ws://{address}/ws", headers={"Origin": "https://example.org"})
        assert refused.value.status == 403
        async with browser.get(f"http://{address}/", headers={"Host": "rebound.example.org"}) as answer:
            assert answer.status == 403
