"""Keys are struck out of every text, however they look in it, and children are not given them."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from engine import control, redaction
from engine.broker.credentials import Credentials
from engine.broker.errors import OrderRefused
from engine.broker.transport import _body
from engine.control import PROTOCOL_VERSION, Answer, ControlServer
from engine.home import Home
from engine.redaction import MARK, StrikingFormatter, forms_of, keep_out, struck, without_secrets
from engine.view_board import ViewBoard

SECRET = "a/very+Secret=value~0123456789"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test announces its own secrets."""
    monkeypatch.setattr(redaction, "_forms", set())
    monkeypatch.setattr(redaction, "_pattern", None)


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(sorted(forms_of(SECRET))))
def test_no_form_of_a_secret_survives_in_any_text(before: str, after: str, form: str) -> None:
    keep_out(SECRET)
    said = struck(before + form + after)
    assert form not in said.replace(MARK, "")
    assert MARK in said


def test_a_secret_is_struck_whole_encoded_and_by_its_ends() -> None:
    keep_out(SECRET)
    for form in (
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET[:8],
        SECRET[-8:],
    ):
        assert struck(f"sent {form} to") == f"sent {MARK} to"


def test_what_is_short_is_no_secret_and_ordinary_words_stay() -> None:
    keep_out("k", "", "1234567")
    assert struck("k sells 1234567 shares") == "k sells 1234567 shares"


def test_a_log_line_and_its_traceback_carry_no_key() -> None:
    Credentials("PKANNOUNCED123456", SECRET)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(StrikingFormatter("%(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError(f"the gateway repeats {SECRET}")
    except ValueError:
        logger.exception("it failed for PKANNOUNCED123456")
    assert "Traceback" in out.getvalue()
    assert SECRET not in out.getvalue()
    assert "PKANNOUNCED" not in out.getvalue()


def test_what_nobody_caught_is_printed_without_keys() -> None:
    script = (
        "from engine.redaction import keep_out, strike_tracebacks\n"
        f"strike_tracebacks(); keep_out({SECRET!r})\n"
        "import os, threading\n"
        "t = threading.Thread(target=lambda: 1 / len(os.environ['KEY'][0:0])); t.start(); t.join()\n"
        "raise RuntimeError(os.environ['KEY'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"KEY": SECRET}, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert f"RuntimeError: {MARK}" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert SECRET not in done.stderr


def test_a_refusal_that_repeats_the_keys_is_told_without_them() -> None:
    Credentials("PKANNOUNCED123456", SECRET)
    code, reason = _body(json.dumps({"code": 40010000, "message": f"bad header PKANNOUNCED123456: {SECRET}"}))
    assert str(OrderRefused(422, code, reason)).endswith(f"bad header {MARK}: {MARK}")


def test_children_are_given_the_environment_without_keys() -> None:
    environ = {
        "APCA_API_KEY_ID": "x", "APCA_API_SECRET_KEY": "x", "OPENAI_API_KEY": "x", "GROQ_API_KEY": "x",
        "MY_TOKEN": "x", "PATH": "/bin", "NUMBA_CACHE_DIR": "/n", "TSH_TRAINING__CYCLES": "3", "KEYBOARD": "us",
    }  # fmt: skip
    assert set(without_secrets(environ)) == {"PATH", "NUMBA_CACHE_DIR", "TSH_TRAINING__CYCLES", "KEYBOARD"}


async def test_the_control_channels_token_stands_in_the_engine_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on Windows, where the channel is a loopback port: a wrong token is turned away, the right one let in."""
    monkeypatch.setattr(control, "sys", SimpleNamespace(platform="win32"))
    caplog.set_level(logging.DEBUG)
    home = Home(tmp_path / "home")
    home.create()

    async def execute(*_: Any) -> Answer:
        raise RuntimeError("a command that fails")

    server = ControlServer(home, ViewBoard(), execute)
    await server.start()
    record = json.loads(home.engine_record.read_text(encoding="utf-8"))
    token, heard = record["token"], []
    assert len(token) >= 24
    assert home.engine_record.stat().st_mode & 0o077 == 0
    for given_token in ("wrong", token):
        url = f"ws://127.0.0.1:{record['port']}"
        async with websockets.connect(url, proxy=None) as socket:
            hello = {"version": PROTOCOL_VERSION, "read_only": False, "client": "console", "token": given_token}
            await socket.send(json.dumps({"hello": hello}))
            if given_token == "wrong":
                with pytest.raises(websockets.ConnectionClosed, match="wrong token"):
                    await socket.recv()
                continue
            await socket.send(json.dumps({"id": 1, "command": "weekend"}))
            while not any("answer" in frame for frame in heard):
                heard.append(str(await socket.recv()))
    await server.stop()
    said = "\n".join(
        [*heard, *(r.getMessage() for r in caplog.records if r.name.startswith("engine")), caplog.text]
    )
    shown = "\n".join(line for line in said.splitlines() if "websockets" not in line)
    assert "command weekend failed" in shown
    for form in forms_of(token):
        assert form not in shown
        assert not any(form.encode() in path.read_bytes() for path in home.folder.rglob("*") if path.is_file())
