"""A story that is checked: acts of steps, each with what was expected, what was seen, and whether they agree."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx
from openai import OpenAIError

if TYPE_CHECKING:
    from hoopguard.demo.stage import Stage

_MISHAPS: Final = (
    OpenAIError,
    httpx.HTTPError,
    subprocess.SubprocessError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
)
"""What a step can run into when the world is not as it expects; anything else is a bug of the demo."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a step saw, in words, and by name each thing that has to be so."""

    text: str
    checks: Mapping[str, bool] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of what was not so; a step that checked nothing has not succeeded."""
        if not self.checks:
            return ("something was checked",)
        return tuple(name for name, holds in self.checks.items() if not holds)


Play = Callable[["Stage"], Seen]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does, and what should come of it."""

    what: str
    expected: str
    play: Play


@dataclass(slots=True)
class Act:
    """Steps that belong together; ``@act.step(…)`` adds one."""

    title: str
    steps: list[Step] = field(default_factory=list)

    def step(self, what: str, *, expected: str) -> Callable[[Play], Play]:
        """Add the decorated function as the act's next step."""

        def add(play: Play) -> Play:
            self.steps.append(Step(what, expected, play))
            return play

        return add


@dataclass(frozen=True, slots=True)
class Told:
    """One step as it went."""

    number: int
    act: str
    what: str
    expected: str
    seen: str
    failed: tuple[str, ...]
    elapsed_ms: int

    @property
    def ok(self) -> bool:
        """Tell whether everything was as expected."""
        return not self.failed

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "ok": self.ok}


class Teller(Protocol):
    """Whoever tells the story while it is played."""

    def begin(self, act: Act) -> None:
        """Announce an act."""

    def busy(self, doing: str) -> AbstractContextManager[None]:
        """Show a sign of life while something takes its time."""

    def tell(self, told: Told) -> None:
        """Say how a step went."""


def play(acts: Iterable[Act], stage: "Stage", teller: Teller) -> list[Told]:
    """Play all acts in order; a step that fails does not keep the others from being tried."""
    story: list[Told] = []
    for act in acts:
        teller.begin(act)
        for step in act.steps:
            number = len(story) + 1
            with teller.busy(f"{number:>2}  {step.what}"):
                story.append(_played(number, act, step, stage))
            teller.tell(story[-1])
    return story


def _played(number: int, act: Act, step: Step, stage: "Stage") -> Told:
    started = time.monotonic()
    try:
        seen = step.play(stage)
    except _MISHAPS as error:
        seen = Seen(f"{type(error).__name__}: {error}", {"the step could be played to its end": False})
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Told(number, act.title, step.what, step.expected, seen.text, seen.failed, elapsed_ms)


def quoted(text: str, length: int = 300) -> str:
    """Return a text on one line, in quotes, its end left off if it is long."""
    line = " ".join(text.split())
    return json.dumps(line if len(line) <= length else f"{line[:length]}…", ensure_ascii=False)
