"""What verification says: problems that name the record, and the report that holds them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

ProblemKind = Literal[
    "changed", "missing", "repeated", "head", "torn", "law", "open", "flow", "cut", "unnamed", "extra"
]
"""What is wrong.

``changed`` an entry's or a flow's bytes are not what was recorded; ``missing`` entries or a segment are
gone; ``repeated`` an entry is there again; ``head`` the ledger's end is not what the head says;
``torn`` the ledger's last line is not whole; ``law`` an exchange has two intents, two outcomes, or an
outcome only; ``open`` an exchange has no outcome and no gateway is running; ``flow`` an entry names
a place that cannot be; ``cut`` a segment ends before a flow does; ``unnamed`` no entry names these bytes;
``extra`` something lies among the sessions that the ledger does not know.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``where`` is ``entry 12``, a file, or ``file @offset+length``."""

    kind: ProblemKind
    where: str
    exchange: str
    message: str

    def __str__(self) -> str:
        exchange = f" (exchange {self.exchange})" if self.exchange else ""
        return f"{self.where}{exchange}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """What verification walked over and found.

    ``live``: a gateway is running on the folder, so ``open_exchanges`` are requests under way.
    ``repairs`` are the ledger's own repair entries: nothing wrong now, but worth reading.
    """

    entries: int
    exchanges: int
    flows: int
    segment_bytes: int
    leaf: str
    live: bool
    open_exchanges: tuple[str, ...]
    repairs: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"clean": self.clean, **asdict(self)}
