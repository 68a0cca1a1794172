"""``tshc web``: the console in a browser of this machine, to look at and nothing else.

The page has no password, so three things hold whatever is asked for: it listens on loopback alone,
every window is a read-only console (the engine refuses its commands too), and a request that another
web page or another host name sends is turned away: without that, any page open in the same browser
could read the account through it.
"""

from __future__ import annotations

import ipaddress
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.options import Options, say
from engine.errors import EXIT_DONE, OperatorError, UsageError
from engine.home import Home

if TYPE_CHECKING:
    from aiohttp import web
    from textual_serve.server import Server

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8642


def checked_host(host: str) -> str:
    """The loopback address that ``host`` names. UsageError for every other host."""
    if host == "localhost":
        return LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise UsageError(
            f"--host {host}: the page has no password, so it is served to this machine alone ({LOOPBACK}); from "
            f"another one use 'ssh -L {DEFAULT_PORT}:{LOOPBACK}:{DEFAULT_PORT} THIS-MACHINE'"
        )
    return str(address)


def console_command(home: Home) -> str:
    """The command line of one window, for a shell."""
    words = [sys.executable, "-m", "app.cli", "--home", str(home.folder), "console", "--read-only"]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def own_request(headers: Any, authority: str) -> bool:
    """Whether a request comes from a page of this server: its Host is ours, and its Origin, if it has one."""
    port = urlsplit(f"//{authority}").port
    ours = {authority, f"localhost:{port}"}
    origin = headers.get("Origin")
    return headers.get("Host", "") in ours and (origin is None or urlsplit(origin).netloc in ours)


def make_server(home: Home, host: str, port: int) -> Server:
    """The server, not yet running. OperatorError without the optional dependency."""
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise OperatorError(
            "the console in a browser needs an optional package: pip install 'tsh-console[web]'"
        ) from error

    address = checked_host(host)
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    @web.middleware
    async def own_only(request: web.Request, handler: Any) -> web.StreamResponse:
        if not own_request(request.headers, authority):
            raise web.HTTPForbidden(text=f"only pages of http://{authority} may look here\n")
        answer: web.StreamResponse = await handler(request)
        return answer

    class LoopbackServer(Server):  # type: ignore[misc,unused-ignore]
        async def _make_app(self) -> web.Application:
            application: web.Application = await super()._make_app()
            application.middlewares.append(own_only)
            return application

        async def on_startup(self, app: web.Application) -> None:
            say(f"the console of {home.folder}, read-only: http://{authority}  (Ctrl-C ends it)")

    return LoopbackServer(
        console_command(home), host=address, port=port, title="TSH Console", public_url=f"http://{authority}"
    )


def serve(options: Options, host: str, port: int) -> int:
    """Serves until interrupted."""
    if not options.home.folder.is_dir():
        raise OperatorError(f"there is no home folder {options.home.folder}: give --home DIR, or run 'tshc' first")
    server = make_server(options.home, host, port)
    try:
        server.serve()
    except OSError as error:
        raise OperatorError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): give another with --port"
        ) from error
    return EXIT_DONE
