"""Prompts are files: a head that says what the score means, and the words a model reads.

    +++
    name = "risk"                 also the name in records and in evaluation
    version = 1                   raised by hand when the meaning changes
    question = "..."              one line, for people
    low = 0                       the scale the model answers on, whole numbers
    high = 10
    good = "down"                 a high answer is bad for the buyer
    weight = 0.25                 share of this prompt in the news score
    veto_at = 8                   optional: from here a quoted answer forbids the trade
    kinds = ["dilution", ...]     optional: labels the answer may carry
    +++
    You grade news ...            with the sections ## Scale and ## Examples

The one thing to know: a record names a prompt by version and by the sha256 of the whole
file, so an edited file can never pass for the one that was measured.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import UsageError

SHIPPED = Path(__file__).with_name("prompts")
FENCE = "+++"
MOST_BYTES = 20_000
MOST_PROMPTS = 12
SECTIONS = ("## Scale", "## Examples")


class PromptHead(BaseModel):
    """The head of a prompt file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,23}$")
    version: int = Field(ge=1)
    question: str = Field(min_length=10, max_length=200)
    low: int = Field(ge=-100, le=0)
    high: int = Field(ge=1, le=100)
    good: Literal["up", "down"]
    weight: float = Field(ge=0, le=1, allow_inf_nan=False)
    veto_at: int | None = None
    kinds: tuple[Annotated[str, Field(pattern=r"^[a-z_]{2,24}$")], ...] = ()

    @model_validator(mode="after")
    def _fits_its_scale(self) -> PromptHead:
        if self.good == "down" and self.low != 0:
            raise ValueError("a scale on which low is good begins at 0")
        if self.veto_at is not None and (self.good != "down" or not self.low < self.veto_at <= self.high):
            raise ValueError('veto_at needs good = "down" and a value on the scale')
        if self.name == "lexicon":
            raise ValueError("'lexicon' is the name of the word lists in records")
        return self


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model, with the scale of its answer."""

    head: PromptHead
    text: str  # what the model reads
    sha256: str  # of the whole file

    @property
    def name(self) -> str:
        return self.head.name

    @property
    def version(self) -> str:
        """As records name it: ``risk@1 3f2a19c2``."""
        return f"{self.name}@{self.head.version} {self.sha256[:8]}"

    def value(self, score: int) -> float:
        """The answer as -1..1, up is good for the buyer."""
        return value_on_scale(score, self.head.low, self.head.high, self.head.good)


def value_on_scale(score: int, low: int, high: int, good: str) -> float:
    """``score`` on low..high as -1..1, up is good. ValueError outside the scale."""
    if not low <= score <= high:
        raise ValueError(f"{score} is outside {low}..{high}")
    share = score / max(abs(low), abs(high))
    return -share + 0.0 if good == "down" else share


def parse_prompt(source: str, name: str) -> Prompt:
    """The prompt of one file's text; UsageError names the file and what is wrong."""
    parts = source.replace("\r\n", "\n").split(FENCE + "\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise UsageError(f"the prompt file {name} does not begin with a head between two lines of {FENCE}")
    try:
        head = PromptHead.model_validate(tomllib.loads(parts[1]))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the head of the prompt file {name} is not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'head'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise UsageError(f"the head of the prompt file {name}: {wrong}") from error
    text = parts[2].strip()
    missing = [section for section in SECTIONS if section not in text]
    if missing:
        raise UsageError(
            f"the prompt file {name} lacks the section {missing[0]}: a scale needs words and examples"
        )
    return Prompt(head, text, hashlib.sha256(source.encode()).hexdigest())


def load_prompts(folder: str = "") -> tuple[Prompt, ...]:
    """The prompts of ``folder`` ("" means those that ship), by name. UsageError when one cannot be used."""
    place = Path(folder).expanduser() if folder else SHIPPED
    files = sorted(place.glob("*.md")) if place.is_dir() else []
    if not files:
        raise UsageError(
            f"qual.prompts: {place} has no prompt files (*.md); copy those of {SHIPPED} there "
            "and change the copies"
        )
    if len(files) > MOST_PROMPTS:
        raise UsageError(f"qual.prompts: {place} has {len(files)} prompt files, at most {MOST_PROMPTS} are asked")
    prompts = [parse_prompt(_read(file), file.name) for file in files]
    names = [prompt.name for prompt in prompts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"qual.prompts: two files in {place} are named '{twice}'; a record must name one")
    if not any(prompt.head.weight for prompt in prompts):
        raise UsageError(f"qual.prompts: no prompt in {place} has a weight above 0; nothing would vote")
    return tuple(sorted(prompts, key=lambda prompt: prompt.name))


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"the prompt file {file.name} is larger than {MOST_BYTES:,} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the prompt file {file} cannot be read: {error}") from error


def shares(prompts: Sequence[Prompt]) -> Mapping[str, float]:
    """Each prompt's share of the news score; they sum to 1, whoever answers."""
    total = sum(prompt.head.weight for prompt in prompts)
    return {prompt.name: prompt.head.weight / total for prompt in prompts}
