"""The texts of a stream, and what stands in their way to the caller."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from hoopguard.payload.shapes import Place
from hoopguard.payload.tables import Kind, Path


class Channel(NamedTuple):
    """One text of a stream: its name (its group first), how it is read, and its path in a whole answer."""

    place: Place
    kind: Kind
    path: Path = ()


class Stage(Protocol):
    """Something that sees a stream's text on its way to the caller, and may change it."""

    def feed(self, channel: Channel, text: str) -> str:
        """Take the next piece of a channel; return what may go on now."""
        ...

    def finish(self, channel: Channel) -> str:
        """Return what was held back of a channel, which has ended."""
        ...


@runtime_checkable
class NameCheck(Protocol):
    """A stage that also wants to see what events say beside their texts."""

    def check_names(self, names: Sequence[str]) -> None:
        """Raise if a key, or an identifier, must not be seen."""
        ...


class StopStream(Exception):
    """A stage wants the stream to end here, properly; ``final`` is what the caller is told."""

    def __init__(self, final: dict[str, Any]) -> None:
        super().__init__("the stream was ended by policy")
        self.final = final
