"""A requests session whose orders and cancels leave with half of the work.

requests prepares every call anew: it merges settings, cookies and headers, asks the environment
for proxies and the home folder for a ``.netrc``. That is 0.2-0.3 ms of Python between a stop and
its cancel, and while prices stream in, every part of it waits for the interpreter. Here what
cannot change between two orders is settled once. Everything else (reads, queries, redirects)
takes the way of requests itself; failures are the same exceptions either way.
"""

from __future__ import annotations

import json as json_text
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict


class QuickSession(Session):
    """``request`` for ``POST`` of JSON and ``DELETE``; no cookies and no ``.netrc`` on these two."""

    def __init__(self) -> None:
        super().__init__()
        self._settled: dict[str, dict[str, Any]] = {}  # by host: proxies, verify, cert, stream

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Response:
        body = options.get("json")
        simple = set(options) <= {"headers", "allow_redirects", "json", "params"} and not options.get("params")
        if args or method not in ("POST", "DELETE") or not simple or options.get("allow_redirects", True):
            return super().request(method, url, *args, **options)
        prepared = PreparedRequest()
        prepared.method, prepared.url, prepared.hooks = method, url, default_hooks()
        headers = CaseInsensitiveDict({**self.headers, **options.get("headers", {})})
        prepared.headers = headers
        if body is not None:
            prepared.body = json_text.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        if method == "POST":
            headers["Content-Length"] = str(len(prepared.body or b""))
        adapter = self.get_adapter(url)
        response = adapter.send(prepared, **self._settings_for(url))
        _ = response.content  # all of it is read here, so that the connection is free again
        for hook in self.hooks["response"]:
            hook(response)
        return response

    def _settings_for(self, url: str) -> dict[str, Any]:
        host = url.partition("//")[2].partition("/")[0]
        settled = self._settled.get(host)
        if settled is None:
            merged = self.merge_environment_settings(url, {}, False, None, None)
            settled = self._settled[host] = dict(merged)
        return settled
