"""Keys stay out of everything that is written: the last line behind the borders that already do not print them.

Whoever holds a secret announces it once (``keep_out``). From then on ``struck`` takes it out
of any text, whole, as base64, percent-encoded, and its first and last eight characters: a
careless gateway may repeat what it was sent. Logs and tracebacks of the engine pass
through here, and so does every word of a broker's error. Children that need no keys are
not given them (``without_secrets``).
"""

from __future__ import annotations

import base64
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from urllib.parse import quote

MARK = "[key]"
SHORTEST = 8  # what is shorter is no key, and striking it would eat ordinary words
_SECRET_NAME = re.compile(
    r"^(APCA|ALPACA|OPENAI)_|KEY(?!BOARD|MAP)|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE
)

_forms: set[str] = set()
_pattern: re.Pattern[str] | None = None


def forms_of(secret: str) -> set[str]:
    """How a secret may look in a text: itself, encoded, and its two ends."""
    plain = base64.b64encode(secret.encode()).decode()
    urlsafe = base64.urlsafe_b64encode(secret.encode()).decode()
    return {
        secret, quote(secret, safe=""), plain, plain.rstrip("="), urlsafe, urlsafe.rstrip("="),
        secret[:SHORTEST], secret[-SHORTEST:],
    }  # fmt: skip


def keep_out(*secrets: str) -> None:
    """From now on none of ``secrets`` is printed by this process. Short ones are no secrets."""
    global _pattern
    fresh = {form for secret in secrets if len(secret) >= SHORTEST for form in forms_of(secret)} - _forms
    if not fresh:
        return
    _forms.update(fresh)
    _pattern = re.compile("|".join(re.escape(form) for form in sorted(_forms, key=len, reverse=True)))


def struck(text: str) -> str:
    """``text`` without any announced secret."""
    return text if _pattern is None else _pattern.sub(MARK, text)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for a child that needs no key: a worker, a notifier, a player of sounds."""
    return {name: value for name, value in environ.items() if not _SECRET_NAME.search(name)}


class StrikingFormatter(logging.Formatter):
    """A log line with its traceback, without keys."""

    def format(self, record: logging.LogRecord) -> str:
        return struck(super().format(record))


def strike_tracebacks() -> None:
    """What nobody caught is printed without keys too, from the main thread and from every other."""

    def said(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        lines: Iterable[str] = traceback.format_exception(kind, error, trace)
        sys.stderr.write(struck("".join(lines)))

    sys.excepthook = said
    threading.excepthook = lambda args: said(args.exc_type, args.exc_value, args.exc_traceback)
