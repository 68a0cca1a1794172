"""An HTTP POST of JSON to the operator's own address, tried again with growing pauses.

    {"version": 1, "text": "...", "alert": {"key", "severity", "topic", "state", "message", "count",
     "opened_at", "at", "number"}, "engine": {"mode", "home"}}

``text`` alone is what chat services show. With a secret (environment or keyring, named by
``alerts.webhook_secret_name``) the header ``X-TSH-Signature`` carries ``t=<unix seconds>,sha256=<hex>``:
the HMAC of ``<unix seconds>.<body>``. Neither the address nor a key is ever logged or journalled.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.alerts.sink import Note, Outcome
from engine.errors import UsageError
from engine.model import utc_text
from engine.setting_values import masked_address
from engine.settings import AlertSettings

if TYPE_CHECKING:
    import aiohttp

SERVICE = "tsh-console"  # in the OS keyring
LONGEST_PAUSE_S = 60.0
_AGAIN = frozenset({408, 425, 429})  # besides every 5xx


def payload(note: Note) -> bytes:
    """The body of a request."""
    content = {
        "version": 1,
        "text": f"{note.title}: {note.body}",
        "alert": {
            "key": note.key,
            "severity": note.severity.value,
            "topic": note.topic.value,
            "state": note.what,
            "message": note.text,
            "count": note.count,
            "opened_at": utc_text(note.opened_at),
            "at": utc_text(note.at),
            "number": note.number,
        },
        "engine": {"mode": note.mode, "home": note.home},
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The value of X-TSH-Signature for a body sent at ``at_s`` (unix seconds)."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},sha256={digest}"


def webhook_secret(settings: AlertSettings, environ: Mapping[str, str] | None = None) -> str:
    """The secret that signs; "" when none is named. UsageError when one is named and not found."""
    name = settings.webhook_secret_name
    if not name:
        return ""
    values = os.environ if environ is None else environ
    if values.get(name, "").strip():
        return values[name].strip()
    import keyring
    from keyring.errors import KeyringError

    try:
        stored = keyring.get_password(SERVICE, name)
    except KeyringError:  # a machine without a keyring
        stored = None
    if not stored:
        raise UsageError(
            f"alerts.webhook_secret_name is {name}, and neither the environment nor the OS keyring has it: "
            f"set it, or store it once with 'keyring set {SERVICE} {name}'"
        )
    return stored


class WebhookSink:
    """One connection pool, made at the first use; each try is bounded, and so is their number."""

    name = "webhook"

    def __init__(
        self,
        settings: AlertSettings,
        secret: str = "",
        *,
        problem: str = "",  # why it cannot be used although it is configured
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings, self._secret, self._problem, self._sleep = settings, secret, problem, sleep
        self._session: aiohttp.ClientSession | None = None

    def in_force(self) -> str:
        if not self._settings.webhook_url:
            return ""
        if self._problem:
            return f"NOT USABLE: {self._problem}"
        signed = "signed" if self._secret else "not signed"
        return f"{masked_address(self._settings.webhook_url)}, {signed}, {self._settings.webhook_tries} tries"

    async def send(self, note: Note) -> Outcome:
        settings = self._settings
        if not settings.webhook_url:
            return Outcome(self.name, "not configured", "alerts.webhook_url is empty")
        if self._problem:
            return Outcome(self.name, "failed", self._problem)
        body, problem = payload(note), ""
        for attempt in range(1, settings.webhook_tries + 1):
            problem, again_s = await self._once(body)
            if not problem:
                return Outcome(self.name, "sent", "" if attempt == 1 else f"at try {attempt}")
            if again_s is None:
                return Outcome(self.name, "failed", problem)
            if attempt < settings.webhook_tries:
                pause = settings.webhook_backoff_s * 2 ** (attempt - 1)
                await self._sleep(min(max(pause, again_s), LONGEST_PAUSE_S))
        return Outcome(self.name, "failed", f"{problem} ({settings.webhook_tries} tries)")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _once(self, body: bytes) -> tuple[str, float | None]:
        """(problem or "", seconds that the server wants us to wait, None when trying again is useless)."""
        session = await self._open()
        import aiohttp

        headers = {"Content-Type": "application/json", "User-Agent": "tsh-console"}
        if self._secret:
            headers["X-TSH-Signature"] = signature(self._secret, body, int(time.time()))
        try:
            async with session.post(
                self._settings.webhook_url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status, wanted = answer.status, answer.headers.get("Retry-After", "")
        except TimeoutError:
            return f"no answer in {self._settings.webhook_timeout_s:g} s", 0.0
        except aiohttp.InvalidURL:
            return "alerts.webhook_url is not a usable address", None
        except (aiohttp.ClientError, OSError) as error:
            return _plain(error), 0.0
        if 200 <= status < 300:
            return "", None
        if status >= 500 or status in _AGAIN:
            return f"the server answered {status}", float(wanted) if wanted.isdecimal() else 0.0
        moved = "; a redirect is not followed" if 300 <= status < 400 else ""
        return f"the server answered {status}{moved}", None

    async def _open(self) -> Any:
        """The session; the library is loaded beside the loop, because it takes a good part of a second."""
        if self._session is None:
            aiohttp = await asyncio.to_thread(__import__, "aiohttp")
            timeout = aiohttp.ClientTimeout(total=self._settings.webhook_timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session


def _plain(error: Exception) -> str:
    """The kind of failure without the address, which may hold a secret."""
    cause = getattr(error, "os_error", error)
    words = getattr(cause, "strerror", None)
    return f"it cannot be reached ({words or type(error).__name__})"
