"""The Textual app: seven screens, the commands, and F12.

It draws views and sends commands; every number comes from the engine. Painting happens at
4 Hz from the client's newest state, never once a message, and nothing here blocks: commands
run in workers and their answers come back as one line at the bottom.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.style import Style
from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from app import themes
from app.alert_ringer import AlertRinger
from app.asking_app import AskingApp
from app.client import Client, Link
from app.command_table import every_command, everywhere_lines, screen_lines
from app.dialogs.flatten import FlattenDialog
from app.dialogs.frame import Dialog
from app.dialogs.help import HelpDialog
from app.dialogs.weekend import WeekendDefaults, WeekendDialog
from app.exporter import Exporter, exportable, file_stem
from app.freeze import Freeze
from app.jump import JumpScreen, Target, targets_of
from app.keys import Wish, keymap, remapped
from app.layout import LayoutFile
from app.screens.base import ConsoleScreen
from app.screens.board import BoardScreen
from app.screens.evidence import EvidenceScreen
from app.screens.groups import GroupsScreen
from app.screens.journal import JournalScreen
from app.screens.overview import OverviewScreen
from app.screens.positions import PositionsScreen
from app.screens.shortlist import ShortlistScreen
from app.screens.training import TrainingScreen
from app.shell_words import console_again, in_a_shell
from app.widgets.positions_panels import GONE
from engine.control import Answer

PAINT_S = 0.25
MODES = ("overview", "training", "groups", "shortlist", "positions", "evidence", "journal")


NUMBERED = MODES  # inside the class MODES are all screens, also those that have a letter


class TshConsole(AskingApp):
    """The operator's console. ``client`` need not be attached yet; it is started and closed here."""

    TITLE = "TSH Console"
    CSS_PATH = Path(__file__).with_name("console.tcss")
    ENABLE_COMMAND_PALETTE = True
    # textual declares these two as instance attributes, so no ClassVar here
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": OverviewScreen,
        "training": TrainingScreen,
        "groups": GroupsScreen,
        "shortlist": ShortlistScreen,
        "positions": PositionsScreen,
        "evidence": EvidenceScreen,
        "journal": JournalScreen,
        "board": BoardScreen,
    }
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(i), f"go('{mode}')", mode, id=f"go.{mode}") for i, mode in enumerate(NUMBERED, start=1)),
        Binding("g", "go('board')", "board", id="go.board", tooltip="board"),
        Binding("u", "unlatch", "unlatch", id="unlatch", tooltip="allow entries again after a latch (asks)"),
        Binding("w", "weekend", "weekend", id="weekend", tooltip="run the weekend: asks for cycles and budget"),
        Binding(
            "d",
            "weekday",
            "day",
            id="weekday",
            tooltip="run the market day: a list, after your yes its trades (asks on LIVE, or for a second day)",
        ),
        Binding("slash", "find", "find", id="find", tooltip="find in the journal"),
        Binding("j", "jump", "jump", id="jump", tooltip="a letter on everything: press it to go there"),
        Binding("e", "export_table", "export", id="export.table", tooltip="the marked table as CSV into exports"),
        Binding("E", "export_screen", "picture", id="export.screen", tooltip="the screen as SVG into exports"),
        Binding(
            "ctrl+p", "command_palette", "commands", id="commands", priority=True, tooltip="every command by name"
        ),
        Binding("question_mark", "help", "help", id="help", tooltip="the keys of this screen"),
        Binding("q", "quit", "quit", id="quit", tooltip="close this console; the engine goes on (ctrl+q too)"),
        Binding(
            "f12", "flatten", "FLATTEN", id="flatten", priority=True, tooltip="FLATTEN: sell everything (asks)"
        ),
    ]

    def __init__(
        self,
        client: Client,
        *,
        read_only: bool = False,
        wishes: Mapping[str, Wish] | None = None,
        layout: LayoutFile | None = None,
        osc: str = "auto",
        first_words: Sequence[str] = (),
    ) -> None:
        self.first_words = first_words  # what the operator must know from the first moment on
        self.default_commands = every_command(type(self))
        self.commands = remapped(self.default_commands, wishes or {})
        self.shown_keys = {c.id: c.shown for c in self.commands}  # what boxes print
        self.ink_styles: dict[str, Style] = {}  # filled by get_css_variables, for each theme anew
        self._colour = not themes.colourless()
        super().__init__()
        self.no_color = not self._colour
        self._filters = themes.line_filters(self._filters, colour=self._colour)
        self.set_keymap(keymap(self.commands, wishes or {}))
        self.client = client
        self.freezer = Freeze(client)
        client.read_only = client.read_only or read_only
        self.exporter = Exporter(self)
        self.remembered = layout
        for theme in themes.OURS:
            self.register_theme(theme)
        known = layout.text("theme") if layout is not None else ""
        start = known if known in self.available_themes else themes.DEFAULT
        self.theme = start if self._colour else themes.ANSI.name
        self.ringer = AlertRinger(osc)

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        theme = self.current_theme
        variables = {**variables, **themes.inks(variables, ansi=theme.ansi, dark=theme.dark)}
        self.ink_styles = themes.ink_styles(variables, ansi=theme.ansi, colour=self._colour)
        return variables

    # --- life and painting ----------------------------------------------------------------

    def on_mount(self) -> None:
        if self.is_web:
            self.client.name = "web"  # it writes no bell and no OSC: an alert must not count it as told
        self.client.start()
        self.painting = self.set_interval(PAINT_S, self.paint, name="paint")
        if self.remembered is not None:
            mode = self.remembered.text("screen")
            if mode in self.MODES and mode != self.current_mode:
                self.switch_mode(mode)
        for text in self.first_words:
            self.notify(text, severity="warning", timeout=30, markup=False)

    async def on_unmount(self) -> None:
        await self.client.close()

    def paint(self) -> None:
        """One refresh of everything on the screen stack, from the newest views."""
        if not self.is_running:  # closing: the widgets are going already
            return
        self.keep_moment()
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen | Dialog) and screen.ready:
                screen.paint(self.client)
        self.remember()
        self.ring()

    def remember(self) -> None:
        """Keeps the layout as it is now, if it changed; what is wrong with its file is said once."""
        layout = self.remembered
        if layout is None:
            return
        layout.content["screen"] = self.current_mode
        if self._colour:  # without colour the theme was not chosen
            layout.content["theme"] = self.theme
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.ready:
                layout.keep(screen.MODE, screen.layout_now())
        layout.save()
        if layout.trouble:
            self.say(layout.trouble, wrong=True)
            layout.trouble = ""

    def ring(self) -> None:
        """Alerts at this terminal: textual's own driver writes, so nothing comes between the parts of a frame."""
        if self.client.link is Link.LIVE:
            wanted = self.ringer.ring(self.client.state.overview.alerts, os.environ)
            if wanted and self._driver is not None and not self.is_web:
                self._driver.write(wanted)

    async def on_event(self, event: events.Event) -> None:
        """Keys that were typed on while the console closes reach no screen that is going already."""
        if not (self._exit and isinstance(event, events.Key)):
            await super().on_event(event)

    # --- keys -----------------------------------------------------------------------------

    async def press(self, command_id: str) -> None:
        """What a click on the key line does."""
        await self.run_action(next(c.action for c in self.commands if c.id == command_id))

    def action_go(self, mode: str) -> None:
        self.switch_mode(mode)

    def action_weekend(self) -> None:
        if not self.may_command():
            return

        def answered(arguments: dict[str, Any] | None) -> None:
            if arguments is not None:
                self.send("weekend", arguments, done="the weekend starts")

        self.push_screen(WeekendDialog(WeekendDefaults.told_by(self.client.state.status)), answered)

    def action_weekday(self) -> None:
        self.ask_weekday()

    async def action_find(self) -> None:
        await self.switch_mode("journal")
        if isinstance(self.screen, JournalScreen):
            self.screen.find()

    def action_jump(self) -> None:
        """A letter on everything that can be reached from here."""
        screen = self.screen
        if not isinstance(screen, ConsoleScreen):
            return

        def chosen(target: Target | None) -> None:
            if target is not None:
                target.go()

        self.push_screen(JumpScreen(targets_of(screen)), chosen)

    def action_export_table(self) -> None:
        self.exporter.marked_table()

    def action_export_screen(self) -> None:
        self.exporter.screen()

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            here = screen_lines(screen.MODE, screen.KEYS, self.default_commands, self.commands)
            brief = everywhere_lines(self.commands, brief=True)
            self.push_screen(HelpDialog(screen.MODE, here, everywhere_lines(self.commands), brief))

    def action_flatten(self) -> None:
        """F12: opens the dialog once; pressing it again while it is open changes nothing."""
        if any(isinstance(screen, FlattenDialog) for screen in self.screen_stack) or not self.may_command():
            return
        dialog = FlattenDialog(self._flatten)
        self.push_screen(dialog)
        self.call_after_refresh(self.paint)

    async def _flatten(self, command: str, arguments: dict[str, Any]) -> Answer:
        return await self.client.command(command, arguments)

    async def action_quit(self) -> None:
        """Closes the console alone, and says what goes on without it; an export under way is finished first."""
        await self.workers.wait_for_complete([worker for worker in self.workers if worker.name == "export"])
        self.remember()
        status = self.client.state.status
        if self.client.link is Link.LIVE:
            held = f"{status.positions_open} open positions stay managed; " if status.positions_open else ""
            home = self.client.home
            said = (
                f"The console is closed; the engine (pid {status.pid}) goes on. {held}"
                f"'{console_again(home)}' attaches again, '{in_a_shell('engine stop', home)}' ends it."
            )
        else:
            said = (
                f"The console is closed. The engine was not attached ({self.client.trouble}); "
                f"'{in_a_shell('status', self.client.home)}' asks again."
            )
        self.exit(message=said)

    def _when_palette_is_gone(self, act: Callable[[], None]) -> None:
        def then() -> None:
            if self.is_running and self.screen_stack:  # else the console closes meanwhile
                act()

        self.set_timer(0.1, then)

    def export_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every table of the screen as CSV, and the screen itself."""
        for box in exportable(screen):
            yield SystemCommand(
                f"Export {file_stem(box)} as CSV",
                "all rows and fields, full precision, into exports",
                lambda box=box: self.exporter.tables([box]),
            )
        yield SystemCommand(
            "Export the screen as SVG",
            "into exports",
            lambda: self._when_palette_is_gone(self.action_export_screen),
        )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every command by name."""
        for mode in MODES:
            yield SystemCommand(
                f"Go to {mode}", f"key {self.shown_keys[f'go.{mode}']}", lambda mode=mode: self.action_go(mode)
            )
        yield SystemCommand(
            "GO / NO-GO board",
            f"every gate before the open ({self.shown_keys['go.board']})",
            lambda: self.action_go("board"),
        )
        yield SystemCommand(
            "Weekend: run", f"data, training, pruning, groups ({self.shown_keys['weekend']})", self.action_weekend
        )
        yield SystemCommand(
            "Market day: run",
            f"snapshot, shortlist, news, trade list ({self.shown_keys['weekday']})",
            self.action_weekday,
        )
        for work in ("training", "search"):
            for verb in ("pause", "resume"):
                yield SystemCommand(
                    f"{work.capitalize()}: {verb}",
                    "its state is kept",
                    lambda work=work, verb=verb: self.send(f"{work}_{verb}", done=f"{work}: {verb}"),
                )
        yield SystemCommand(
            "Training: stop after this cycle",
            "pruning goes on with the cycles done",
            lambda: self.stop_work("training", "The training ends after the present cycle."),
        )
        yield SystemCommand(
            "Search: stop",
            "ends with the best groups so far",
            lambda: self.stop_work("search", "The search ends now with the best groups so far."),
        )
        yield SystemCommand("Trade list: approve", "asks, shows the four and the hash", self.ask_approval)
        yield SystemCommand("Trade list: reject", "no trade that day (asks)", self.ask_rejection)
        yield SystemCommand(
            "Trade list: swap a name",
            f"{self.shown_keys['shortlist.swap']} on the shortlist",
            lambda: self.action_go("shortlist"),
        )
        for row in self.client.state.positions.rows:
            if row.shares and row.state not in GONE:
                yield SystemCommand(
                    f"Sell {row.symbol} now", "one position (asks)", lambda s=row.symbol: self.ask_exit(s)
                )
        yield SystemCommand("FLATTEN everything", "F12: asks for a typed word", self.action_flatten)
        yield SystemCommand("Allow entries again", "takes the latch off (asks)", self.ask_unlatch)
        yield SystemCommand("Acknowledge all alerts", "", self.acknowledge_all)
        yield SystemCommand("Find in the journal", f"key {self.shown_keys['find']}", self.action_find)
        yield SystemCommand(
            "Freeze the screens, or back to now", f"key {self.shown_keys['freeze']}", self.action_freeze
        )
        yield SystemCommand("Keys", f"the keys of this screen ({self.shown_keys['help']})", self.action_help)
        yield SystemCommand("Theme", "another look", self.action_change_theme)
        yield from self.export_commands(screen)
        yield SystemCommand("Jump", "a letter on everything", lambda: self._when_palette_is_gone(self.action_jump))
        yield SystemCommand("Stop the engine", "asks; open positions would be left alone", self.ask_shutdown)
        yield SystemCommand(
            "Quit", f"closes the console; the engine goes on ({self.shown_keys['quit']})", self.action_quit
        )
