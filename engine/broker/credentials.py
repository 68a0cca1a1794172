"""The Alpaca keys: from the environment or the OS keyring, never from a file, never in a message."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.broker.errors import AuthRefused
from engine.redaction import keep_out

SERVICE = "tsh-console"
KEY_NAME, SECRET_NAME = "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"
HOW_TO_SET = (
    f"set {KEY_NAME} and {SECRET_NAME} in the environment, or store them once with "
    f"'keyring set {SERVICE} {KEY_NAME}' and 'keyring set {SERVICE} {SECRET_NAME}'"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair that does not print itself."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    origin: str = "given"

    def __post_init__(self) -> None:
        keep_out(self.key, self.secret)

    @property
    def masked(self) -> str:
        return (
            f"{self.key[:2]}...{self.key[-2:]} ({self.origin})" if len(self.key) >= 8 else f"set ({self.origin})"
        )


def load_credentials(environ: Mapping[str, str] | None = None) -> Credentials:
    """The keys of the paper or live account.

    Raises AuthRefused, telling both ways to set them, when neither source has the pair.
    """
    values = os.environ if environ is None else environ
    key, secret = values.get(KEY_NAME, "").strip(), values.get(SECRET_NAME, "").strip()
    if key and secret:
        return Credentials(key, secret, "environment")
    if key or secret:
        missing = SECRET_NAME if key else KEY_NAME
        raise AuthRefused(
            f"the environment has only one of the two Alpaca keys, {missing} is missing; {HOW_TO_SET}"
        )
    why = "the OS keyring has none"
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        why = "this machine has no OS keyring"
    else:
        try:
            stored_key = keyring.get_password(SERVICE, KEY_NAME)
            stored_secret = keyring.get_password(SERVICE, SECRET_NAME)
        except KeyringError as error:
            why = f"the OS keyring does not answer ({type(error).__name__})"
        else:
            if stored_key and stored_secret:
                return Credentials(stored_key, stored_secret, "keyring")
    raise AuthRefused(f"no Alpaca keys: the environment has none and {why}; {HOW_TO_SET}")
