"""The training screen's line about the offices."""

from __future__ import annotations

from rich.style import Style
from textual.app import App, ComposeResult

from app import themes
from app.widgets.training_panels import LoopPanel
from engine.views import TrainingView

RUNNING = TrainingView(
    state="running", backend="workbook", cycle=1, cycles=2, kernel_ms=80_000.0, cycle_ms=81_000.0
)
OFFICES = {"office": "LibreOffice 7.4.7.2", "instances": 2, "tickers_per_s": 61.25, "restarts": 1}


class Host(App[None]):
    """A bare app with the console's inks around one panel."""

    def __init__(self) -> None:
        self.ink_styles: dict[str, Style] = {}
        super().__init__()

    def get_css_variables(self) -> dict[str, str]:
        theme = self.current_theme
        variables = super().get_css_variables()
        variables = {**variables, **themes.inks(variables, ansi=theme.ansi, dark=theme.dark)}
        self.ink_styles = themes.ink_styles(variables)
        return variables

    def compose(self) -> ComposeResult:
        yield LoopPanel(id="loop")


async def shown(view: TrainingView, width: int = 100) -> str:
    host = Host()
    async with host.run_test(size=(width + 2, 20)):
        panel = host.query_one(LoopPanel)
        panel.show(view)
        return "\n".join("".join(text for text, _ in line) for line in (panel.note, *panel.draw(width)))


async def test_the_workbook_backend_shows_its_office_instances_speed_and_restarts() -> None:
    said = await shown(RUNNING.model_copy(update=OFFICES))
    assert "LibreOffice 7.4.7.2 x 2   61.2 tickers/s   1 restarts" in said


async def test_cross_checks_show_how_many_batches_agree_and_the_ties() -> None:
    said = await shown(RUNNING.model_copy(update={"backend": "native", "verified": 12, "ties": ("a", "b")}))
    assert "native · verified 12 batches, 2 ties" in said
    assert "LibreOffice" not in said


async def test_the_native_backend_has_no_such_line() -> None:
    plain, offices = await shown(RUNNING), await shown(RUNNING.model_copy(update=OFFICES))
    assert len(offices.splitlines()) == len(plain.splitlines()) + 1
