"""Where the model is and with which key it is asked. A key never travels in clear text over a network.

The key comes from the environment or the OS keyring under the name in ``qual.key_name``,
never from a file, and prints as two letters. A server on this machine or in a private
network may do without one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from engine.errors import UsageError
from engine.redaction import keep_out
from engine.setting_values import is_private_host
from engine.settings import QualSettings

SERVICE = "tsh-console"  # in the OS keyring
OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """An address and its key; the key is not part of what prints."""

    url: str
    host: str  # host and port, as records name the provider
    private: bool  # this machine or a private network: no key and no price needed
    key: str = field(repr=False)
    origin: str = ""  # of the key: "environment", "keyring", "none needed"

    def __post_init__(self) -> None:
        keep_out(self.key)

    @property
    def masked_key(self) -> str:
        if not self.key:
            return self.origin
        shown = f"{self.key[:2]}...{self.key[-2:]}" if len(self.key) >= 12 else "set"
        return f"{shown} ({self.origin})"


def model_access(settings: QualSettings, environ: Mapping[str, str] | None = None) -> ModelAccess:
    """The address and the key in force. UsageError says what is missing and where to put it."""
    url, host, private, encrypted = _address(settings.base_url or OPENAI_URL)
    if not private and (settings.price_in is None or settings.price_out is None):
        raise UsageError(
            f"the model at {host} may cost money and its price is not set, so the limits qual.run_cost and "
            "qual.day_cost could not hold: set qual.price_in and qual.price_out "
            "(dollars per million tokens, 0 if free)"
        )
    key, origin = _key(settings.key_name, os.environ if environ is None else environ)
    if not key and not private:
        raise UsageError(
            f"no key for the model at {host}: set {settings.key_name} in the environment, or store it once with "
            f"'keyring set {SERVICE} {settings.key_name}' (qual.key_name chooses another name)"
        )
    if key and not encrypted and not private:
        raise UsageError(
            f"qual.base_url: {host} is not on this machine or a private network and not https: "
            f"the key {settings.key_name} would be readable on the way; use https://"
        )
    return ModelAccess(url, host, private, key, origin)


def _address(url: str) -> tuple[str, str, bool, bool]:
    """(url, host:port, private, encrypted)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"qual.base_url: {error}; write https://host/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("qual.base_url: write http://127.0.0.1:11434/v1 or https://host/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "qual.base_url carries a name, a password or a query: settings are printed, "
            "a secret does not belong there"
        )
    host = parts.hostname + (f":{port}" if port else "")
    return url.rstrip("/"), host, is_private_host(parts.hostname), parts.scheme == "https"


def _key(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    key = environ.get(name, "").strip()
    if key:
        return key, "environment"
    import keyring
    from keyring.errors import KeyringError

    try:
        stored = keyring.get_password(SERVICE, name)
    except KeyringError:  # a machine without a keyring: the caller says what to do
        stored = None
    return (stored, "keyring") if stored else ("", "none needed")
