"""Makes alerts heard at the terminal of an attached console: OSC 9 or 777, and the bell.

The engine decides what is told and when: it raises ``AlertView.rings``, and a rise is a request.
A console that has just attached tells once what waits. Everything goes out in one write, so that
no frame is torn; control characters in a text can neither end nor begin a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.views import AlertView

TITLE = "TSH Console"
LONGEST = 200  # characters of a notification
BELL, ESC = "\a", "\x1b"
_WORDS = {"notice": "notice", "warning": "WARNING", "critical": "CRITICAL"}
_SPEAKS_777 = ("rxvt", "foot")  # beginnings of TERM


def clean(text: str) -> str:
    """Without control characters (C0, DEL, C1): what is left cannot steer a terminal."""
    spaced = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text)
    return " ".join(spaced.split())[:LONGEST]


def notification(title: str, body: str, *, osc: str, environ: Mapping[str, str]) -> str:
    """The sequences that ask the terminal for a desktop notification; "" when ``osc`` is off.

    ``auto`` takes 777 for terminals that are known to want it, else 9. Inside tmux the sequence is
    passed through (tmux needs 'set -g allow-passthrough on').
    """
    title, body = clean(title).replace(";", ","), clean(body).replace(";", ",")
    if osc == "auto":
        wants_777 = environ.get("TERM", "").startswith(_SPEAKS_777) or "VTE_VERSION" in environ
        osc = "777" if wants_777 else "9"
    sequences = []
    if osc in ("9", "both"):
        sequences.append(f"{ESC}]9;{title}: {body}{BELL}")
    if osc in ("777", "both"):
        sequences.append(f"{ESC}]777;notify;{title};{body}{BELL}")
    if environ.get("TMUX"):
        sequences = [f"{ESC}Ptmux;{s.replace(ESC, ESC * 2)}{ESC}\\" for s in sequences]
    return "".join(sequences)


class AlertRinger:
    """Remembers what was rung; ``ring`` says what to write to the terminal now."""

    def __init__(self, osc: str = "auto") -> None:
        self._osc = osc
        self._rung: dict[str, int] | None = None  # rings by key; None before the first look

    def ring(self, alerts: Sequence[AlertView], environ: Mapping[str, str]) -> str:
        """What asks the terminal for attention, "" when nothing new wants it."""
        first, rung = self._rung is None, self._rung or {}
        new = [a for a in alerts if a.rings > rung.get(a.key, 0)]
        self._rung = rung | {alert.key: alert.rings for alert in alerts}
        if first:
            return self._attached([a for a in new if a.waiting], environ)
        notices = "".join(self._notice(alert, environ) for alert in new if alert.ring_notice)
        return notices + (BELL if any(alert.ring_bell for alert in new) else "")

    def _notice(self, alert: AlertView, environ: Mapping[str, str]) -> str:
        word = "over" if alert.over else _WORDS[alert.severity]
        again = f" (×{alert.count})" if alert.count > 1 else ""
        return notification(TITLE, f"{word}: {alert.text}{again}", osc=self._osc, environ=environ)

    def _attached(self, waiting: Sequence[AlertView], environ: Mapping[str, str]) -> str:
        """One notification for all that waited for somebody to attach."""
        if not any(alert.ring_notice or alert.ring_bell for alert in waiting):
            return ""
        worst = max(waiting, key=lambda alert: list(_WORDS).index(alert.severity))
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        words = notification(TITLE, f"waiting: {worst.text}{more}", osc=self._osc, environ=environ)
        bell = BELL if any(alert.ring_bell for alert in waiting) else ""
        return (words if any(alert.ring_notice for alert in waiting) else "") + bell
