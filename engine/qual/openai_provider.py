"""Any server that speaks the OpenAI chat protocol, through the openai SDK.

The SDK only carries: no retries of its own (the run decides and pays for them), no
redirects (a key must not follow one), no tools. What a server says in an error is not
repeated: the sentence that reaches the journal is ours.

The SDK is imported when a provider is made: it takes a second, and its HTTP library loads a
terminal library wherever one is installed. An engine without a model carries neither.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from engine.qual.chat import ChatReply, ChatRequest, Failure, ProviderError
from engine.qual.model_access import ModelAccess
from engine.redaction import struck
from engine.settings import QualSettings

if TYPE_CHECKING:
    import httpx
    import openai

MOST_BYTES = 400_000  # of one answer; a few thousand tokens are far below
MOST_TEXT = 20_000  # characters kept of it
RETRY_AFTER_MOST_S = 10.0

for _chatty in ("openai", "httpx", "httpcore"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)  # they log requests and headers below it


def load_sdk() -> None:
    """Imports the SDK (about a second of CPU), so that it can happen while the news is being fetched."""
    import openai.resources.chat.completions  # noqa: F401 (the part that a first request would load)


class OpenAiProvider:
    """One model behind one address."""

    def __init__(self, access: ModelAccess, settings: QualSettings) -> None:
        import httpx
        from openai import AsyncOpenAI

        self.name, self.model = access.host, settings.model
        self._structured = settings.structured
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=not access.private,  # a proxy has no business between us and our own machine
            limits=httpx.Limits(
                max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
            ),
            event_hooks={"response": [_read_within_bounds]},
        )
        self._client = AsyncOpenAI(
            api_key=access.key or "none",
            base_url=access.url,
            organization="",
            project="",
            max_retries=0,
            http_client=self._http,
        )

    async def ask(self, request: ChatRequest, timeout_s: float) -> ChatReply:
        import httpx
        import openai

        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._client.chat.completions.create(
                    model=self.model,
                    messages=[{"role": m.role, "content": m.content} for m in request.messages],  # type: ignore[misc]
                    temperature=0,
                    seed=request.seed,
                    max_tokens=request.most_tokens,
                    n=1,
                    timeout=timeout_s,
                    **self._format(request),
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            raise ProviderError("timeout", f"no answer within {timeout_s:.3g} s") from error
        except openai.APIStatusError as error:
            raise _status_error(error) from error
        except openai.APIResponseValidationError as error:
            raise ProviderError("server error", "the answer is not of the chat protocol") from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, _TooLong):
                raise ProviderError(
                    "request refused", f"the answer is longer than {MOST_BYTES:,} bytes"
                ) from error
            raise ProviderError("connection", "the connection was refused or cut") from error
        except (openai.OpenAIError, httpx.HTTPError) as error:
            raise ProviderError("server error", "the answer cannot be read") from error
        except ValueError as error:  # a body that is not JSON although its head says so
            raise ProviderError("server error", "the answer is not JSON") from error
        return _reply(answer)

    async def close(self) -> None:
        await self._client.close()

    def _format(self, request: ChatRequest) -> dict[str, Any]:
        if self._structured == "json_schema":
            schema = {"name": request.name, "strict": True, "schema": dict(request.schema)}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        if self._structured == "json_object":
            return {"response_format": {"type": "json_object"}}
        return {}


class _TooLong(Exception):  # noqa: N818 (it never leaves this module)
    pass


async def _read_within_bounds(response: httpx.Response) -> None:
    """Reads the body here, where its size can be counted; the SDK would read any amount."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            raise _TooLong(f"more than {MOST_BYTES} bytes")
    response._content = bytes(body)


def _status_error(error: openai.APIStatusError) -> ProviderError:
    status = error.status_code
    kind: Failure
    if status == 429:
        return ProviderError("rate limited", "the server limits the rate (429)", _retry_after(error.response))
    if status in (401, 403):
        kind, words = "key refused", f"the server refuses the key ({status})"
    elif status >= 500:
        kind, words = "server error", f"the server failed ({status})"
    elif status in (400, 404, 422):
        kind = "request refused"
        words = f"the server refuses the request ({status}): check qual.model, qual.base_url and qual.structured"
    else:
        kind, words = "request refused", f"the server refuses the request ({status})"
    return ProviderError(kind, words)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, RETRY_AFTER_MOST_S) if seconds >= 0 else None


def _reply(answer: Any) -> ChatReply:
    """The SDK does not check what a server sends: every field is looked at before it is used."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise ProviderError("server error", "the answer is not of the chat protocol")
    message = choices[0].message
    text, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
    usage = getattr(answer, "usage", None)
    finish = getattr(choices[0], "finish_reason", None)
    if finish == "content_filter" and not refusal:
        refusal = "stopped by the server's content filter"
    return ChatReply(
        text=struck(text)[:MOST_TEXT] if isinstance(text, str) else "",
        refusal=struck(refusal)[:500] if isinstance(refusal, str) else "",
        tokens_in=_count(getattr(usage, "prompt_tokens", None)),
        tokens_out=_count(getattr(usage, "completion_tokens", None)),
        cut_off=finish == "length",
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000_000 else None
