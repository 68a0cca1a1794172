"""``tshc status``: the strip in a shell, in words for a person; --json has every field as it is."""

from __future__ import annotations

from app import formatting as f
from app.engine_process import engine_runs
from app.headless import attached, told
from app.options import Options, print_json, say
from app.shell_words import runs_elsewhere
from engine.errors import EXIT_DONE, EXIT_FAILED, OperatorError
from engine.views import LinkView, StatusView

NAME_WIDTH = 10


async def status(options: Options) -> int:
    """Prints the strip; exit code 1 when no engine runs."""
    if not engine_runs(options.home):
        if options.as_json:
            print_json({"engine": None, "home": str(options.home.folder)})
        elsewhere = runs_elsewhere(options.home)
        say(f"no engine runs on {options.home.folder}; 'tshc' or 'tshc engine start' starts one{elsewhere}")
        return EXIT_FAILED
    async with attached(options, start=False) as client:
        if not await told(client):
            raise OperatorError("the engine runs and has told nothing yet: 'tshc status' again in a moment")
        view = client.state.status
        if options.as_json:
            print_json(view.model_dump(mode="json"))
            return EXIT_DONE
        for name, text in status_lines(view):
            print(f"{name:{NAME_WIDTH}}{text}")
    return EXIT_DONE


def status_lines(view: StatusView) -> list[tuple[str, str]]:
    """Name and words of what the strip tells; dollars, New York time."""
    old = f"  (as of {f.duration(view.account_age_s)} ago)" if view.account_stale else ""
    pnl = f"{f.money(view.day_pnl, signed=True)} $"
    held = f"{view.positions_open} positions, {view.orders_open} open orders"
    percent = "" if view.day_pnl_pct is None else f"  {f.percent(view.day_pnl_pct)}"
    lines = [
        ("account", f"{view.mode.upper()} {view.account}".rstrip()),
        ("engine", f"pid {view.pid}, home {view.home}"),
        ("market", _market(view)),
        ("broker", _link(view.broker)),
        ("prices", _link(view.prices)),
        ("orders", _link(view.orders)),
        ("equity", f"{f.money(view.equity)} ${old}"),
        ("day", f"{pnl}{percent}{old}"),
        (
            "exposure",
            f"{f.money(view.exposure)} $ in {held}",
        ),
        ("entries", f"LATCHED OFF: {view.latched}" if view.latched else "allowed"),
    ]
    lines += [("DRIFT", text) for text in view.drift]
    lines += [("search", view.watchdog)] if view.watchdog else []
    lines += [("kernels", view.kernels)] if view.kernels else []
    return lines


def _market(view: StatusView) -> str:
    if view.market_time is None:
        return "no market clock yet"
    now = f"{f.eastern(view.market_time, '%a %d %b %H:%M:%S')} ET, {'open' if view.market_open else 'closed'}"
    left = f.until(view.next_event_at, view.market_time)
    ahead = f"; {view.next_event} in {f.duration(left)}" if left is not None and left > 0 else ""
    rate = f"  (×{view.clock_rate:g})" if view.clock_rate != 1 else ""
    return f"{now}{ahead}{rate}"


def _link(link: LinkView) -> str:
    """``live, 2 ms, heard 0.4 s ago``."""
    parts: list[str] = [link.state]
    if link.latency_ms is not None:
        parts.append(f"{link.latency_ms:.0f} ms")
    if link.age_s is not None:
        parts.append(f"heard {f.amount(link.age_s)} ago")
    return ", ".join([*parts, *([link.detail] if link.detail else [])])
