"""Every theme can be read, by every eye; without colour nothing is lost."""

from __future__ import annotations

import math

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, strips_of, text_of
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from app import themes
from app.client import EngineClient
from app.console import MODES, TshConsole

WCAG_AA = 4.5
COLOURED = [theme for theme in themes.OURS if not theme.ansi]
TEXT_INKS = ("foreground", "tsh-dim", "tsh-accent", "tsh-gain", "tsh-warn", "tsh-alarm")
GROUNDS = ("background", "surface", "panel", "tsh-cursor")


def variables(theme: Theme) -> dict[str, str]:
    generated = theme.to_color_system().generate()
    return generated | themes.inks(generated, ansi=theme.ansi, dark=theme.dark)


def linear(colour: Color) -> tuple[float, float, float]:
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (colour.r / 255, colour.g / 255, colour.b / 255)
    )
    return r, g, b


def luminance(colour: Color) -> float:
    r, g, b = linear(colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """WCAG 2: 1 (the same) to 21 (black on white)."""
    low, high = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("theme", COLOURED, ids=lambda t: t.name)
def test_text_reaches_wcag_aa_on_every_ground_it_stands_on(theme: Theme, ground: str) -> None:
    known = variables(theme)
    weak = {ink: round(contrast(known[ink], known[ground]), 2) for ink in TEXT_INKS}
    assert not {ink: ratio for ink, ratio in weak.items() if ratio < WCAG_AA}


def test_the_contrast_formula_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey that just fails


# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "protanopia": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deuteranopia": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "tritanopia": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}


def lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of linear RGB."""
    r, g, b = (min(1.0, max(0.0, c)) for c in rgb)
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen_difference(one: str, other: str, deficiency: str) -> float:
    """Delta E (1976) as an eye with ``deficiency`` sees it; 2.3 is just noticeable."""
    matrix = DEFICIENCIES[deficiency]

    def seen(name: str) -> tuple[float, float, float]:
        rgb = linear(Color.parse(name))
        return lab(tuple(sum(m * c for m, c in zip(row, rgb, strict=True)) for row in matrix))

    return math.dist(seen(one), seen(other))


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_gain_loss_and_alarm_differ_for_colour_blind_eyes(deficiency: str) -> None:
    known = variables(themes.COLOURBLIND)
    assert seen_difference(known["tsh-gain"], known["tsh-warn"], deficiency) > 40
    assert seen_difference(known["tsh-gain"], known["tsh-alarm"], deficiency) > 40
    assert seen_difference(known["tsh-warn"], known["tsh-alarm"], deficiency) > 15


def test_the_inks_of_every_theme_are_the_same_set() -> None:
    names = {frozenset(themes.ink_styles(variables(t), ansi=t.ansi)) for t in themes.OURS}
    assert names == {frozenset(themes.COLOURLESS)}


@pytest.mark.parametrize("theme", [*(t.name for t in themes.OURS), "ansi-dark", "ansi-light", "textual-dark"])
async def test_every_screen_and_dialog_can_be_drawn_in_every_theme(app: TshConsole, theme: str) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        app.theme = theme
        await painted(pilot, app)
        for number in range(1, len(MODES) + 1):
            await pilot.press(str(number))
            assert "F12 FLATTEN" in text_of(app)
        for keys in (["4", "a"], ["question_mark"], ["w"], ["f12"], ["ctrl+p"], ["j"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert text_of(app).startswith(" SIM "), keys  # no dialog hides the strip
            await pilot.press("escape")


def styles(app: TshConsole) -> list[tuple[str, Style]]:
    """What is sent to the terminal: text and style, after the filters."""
    return [(part.text, part.style or Style()) for strip in strips_of(app) for part in strip]


async def test_no_color_leaves_no_colour_anywhere(engine: RecordedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        for theme in (app.theme, "tsh-light"):  # another theme brings no colour back
            app.theme = theme
            for keys in (["1"], ["3"], ["5"], ["4", "a"], ["escape", "f12"], ["escape", "ctrl+p"], ["escape"]):
                await pilot.press(*keys)
                await pilot.pause()
                for text, style in styles(app):
                    for colour in (style.color, style.bgcolor):
                        assert colour is None or colour.is_default, (theme, keys, text, style)


async def test_an_empty_no_color_asks_for_nothing(engine: RecordedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test() as pilot:
        await painted(pilot, app)
        colours = {style.color.triplet for _, style in styles(app) if style.color is not None}
    assert app.theme == themes.DEFAULT
    assert any(c is not None and max(c) - min(c) > 60 for c in colours)  # more than greys


@pytest.mark.parametrize(("mode", "text"), [("sim", " SIM "), ("paper", "‹PAPER›"), ("live", "▶▶ LIVE MONEY ◀◀")])
async def test_whose_money_it_is_and_an_alarm_are_seen_without_colour(
    engine: RecordedEngine, monkeypatch: pytest.MonkeyPatch, mode: str, text: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    told = {"mode": mode, "latched": "day loss"}
    engine.board.status = recorded.status().model_copy(update=told)
    app = TshConsole(EngineClient(engine.home))
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        shown = styles(app)
        lines = text_of(app).splitlines()
        first_line = list(strips_of(app)[0])
    badge = [style for part, style in shown if text.strip() in part]
    assert badge
    assert badge[0].reverse
    assert any("LATCHED" in part and style.reverse and style.bold for part, style in shown)
    assert text.strip() in lines[0]
    assert [m for m in ("SIM", "PAPER", "LIVE") if m in lines[0].split("eng")[0]] == [mode.upper()]
    if mode == "live":  # the whole first line, not only the badge
        assert all(part.style is not None and part.style.reverse for part in first_line if part.text.strip())
