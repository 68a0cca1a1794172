"""What a provider is: something that answers one chat request, or says why it does not.

Everything above this line is the same for every provider; everything a provider may do is
here. It gets text and gives text: no tools, no functions, no memory of the last question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]
Failure = Literal["timeout", "rate limited", "server error", "connection", "key refused", "request refused"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request; ``schema`` is the JSON schema of the answer, enforced by the server where it can."""

    messages: tuple[Message, ...]
    name: str
    schema: Mapping[str, Any]
    most_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back. Token counts are None when the server does not tell them."""

    text: str
    refusal: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cut_off: bool = False  # the answer reached ``most_tokens``


class ProviderError(Exception):
    """No answer. The sentence is ours, never the server's: it reaches the journal and the screen."""

    def __init__(self, kind: Failure, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.kind: Failure = kind
        self.retry_after_s = retry_after_s

    @property
    def passing(self) -> bool:
        """Whether a second attempt may succeed. A timeout is not repeated: the time is gone."""
        return self.kind in ("rate limited", "server error", "connection")


class Provider(Protocol):
    """A model behind an address. ``ask`` raises ProviderError and nothing else for what the server did."""

    @property
    def name(self) -> str:
        """Where the model is: "openai", "127.0.0.1:11434"."""

    @property
    def model(self) -> str: ...

    async def ask(self, request: ChatRequest, timeout_s: float) -> ChatReply: ...

    async def close(self) -> None: ...
