"""Commands about the console as a window: opening it with the operator's keys and layout, and the list of keys."""

from __future__ import annotations

from app.client import EngineClient
from app.engine_process import engine_runs, start_engine
from app.options import Options, print_json, say
from app.shell_words import settings_not_applied
from engine.errors import EXIT_DONE, OperatorError, UsageError
from engine.reactions import stay_quick
from engine.settings import Settings


def open_console(options: Options) -> int:
    """Attaches the console, starting the engine when none runs; quitting it leaves the engine running.

    A read-only console starts no engine: it waits for one.
    """
    from app.command_table import every_command
    from app.console import TshConsole
    from app.keys import read_wishes, remapped, setting_files
    from app.layout import LayoutFile

    home = options.home
    settings, trouble = _settings_for_a_window(options)
    commands = every_command(TshConsole)
    wishes = read_wishes(setting_files(home), commands)
    remapped(commands, wishes)
    if options.read_only:
        if not home.folder.is_dir():
            raise OperatorError(
                f"there is no home folder {home.folder}, and a read-only console makes none: give --home DIR, "
                "or open one that may command with 'tshc'"
            )
    else:
        start_engine(home, settings, options.engine_arguments(), lambda step: say(f"engine: {step}"))
    client = EngineClient(home, read_only=options.read_only)
    layout = LayoutFile.of(home, read_only=options.read_only)
    osc = settings.alerts.osc
    notes = tuple(text for text in (trouble, settings_not_applied(options)) if text)
    console = TshConsole(
        client, read_only=options.read_only, wishes=wishes, layout=layout, osc=osc, first_words=notes
    )
    stay_quick()  # a full collection of what was imported would hold a paint and a key up for 50 ms
    console.run()
    return EXIT_DONE


def _settings_for_a_window(options: Options) -> tuple[Settings, str]:
    """The settings in force, and what is wrong with them while an engine runs.

    A typo is refused before a screen is taken over; but never the window on an engine that trades already:
    with which settings it trades was decided at its start.
    """
    try:
        return options.settings().settings, ""
    except UsageError as wrong:
        if not engine_runs(options.home):
            raise
        return Settings(), f"{wrong} - the engine goes on with the settings of its start"


def print_keys(options: Options, *, defaults: bool, card: bool) -> int:
    """Every key with its id and what it does: those in force, the defaults, or the key card."""
    from app.command_table import every_command, key_card, keys_text, plain_table
    from app.console import TshConsole
    from app.keys import read_wishes, remapped, setting_files

    commands = every_command(TshConsole)
    if card:
        print(key_card(commands), end="")
        return EXIT_DONE
    wishes = {} if defaults else read_wishes(setting_files(options.home), commands)
    in_force = remapped(commands, wishes)
    if options.as_json:
        print_json([{"keys": c.keys, "id": c.id, "place": c.place, "does": c.text} for c in in_force])
        return EXIT_DONE
    print(plain_table(in_force))
    if wishes:
        print("\nChanged")
        before = {c.id: keys_text(c) for c in commands}
        for name, wish in wishes.items():
            print(f"  {name}: {before[name]} before, now as {wish.origin} says")
    elif not defaults:
        said = " or ".join(str(path) for path in setting_files(options.home))
        print(f"\nOther keys: [keys] in {said}")
    return EXIT_DONE
