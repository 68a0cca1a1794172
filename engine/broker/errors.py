"""What can go wrong at the broker, classified by structure (status and numeric code), never by text.

The one distinction that matters: ``OrderRefused`` means the order does not exist,
``OrderUnknown`` means nobody knows yet and it must be looked up by its client id before
anything else is sent. No message ever carries a key.
"""

# ruff: noqa: N818 - the classes are named after what happened at the broker

from __future__ import annotations

from engine.errors import EXIT_REFUSED, OperatorError


class BrokerError(OperatorError):
    """Anything the broker, or the way to it, did not do."""


class AuthRefused(BrokerError):
    """The keys are missing, wrong or not allowed to do this."""


class BrokerUnavailable(BrokerError):
    """No usable answer: no connection, a server error, or a body that is not what it must be.

    For an order: it certainly did not leave this machine.
    """


class RateLimited(BrokerError):
    """429: the request was not processed; ``retry_after_s`` wall seconds until the window resets."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestRefused(BrokerError):
    """The broker understood the request and said no (4xx)."""

    exit_code = EXIT_REFUSED

    def __init__(self, status: int, code: int | None, reason: str) -> None:
        super().__init__(f"the broker refused the request ({status}{f', {code}' if code else ''}): {reason}")
        self.status, self.code, self.reason = status, code, reason


class NotFound(RequestRefused):
    """404: no such order, position or asset."""


class OrderRefused(RequestRefused):
    """This order was refused and does not exist."""


class DuplicateOrderId(OrderRefused):
    """422/40010001: the client order id may be taken already; look it up before believing it."""


class OrderUnknown(BrokerError):
    """The order may or may not exist: the connection broke, or the server failed, after it was sent."""


class AnotherSellerActs(BrokerError):
    """The request was held back in the last moment; nothing left this machine."""
