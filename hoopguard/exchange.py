"""What is known about one request and its answer, as it walks through the chain.

The facts are plain JSON values in ``flow.metadata["hoopguard"]``, so that whoever opens a recorded
session reads what the stations knew. Objects that only live while the request does (the policy it
began with, its parsed body, its stream) are attributes of the :class:`Exchange` itself and are
never written down.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol
from weakref import WeakKeyDictionary

METADATA_KEY: Final = "hoopguard"

Outcome = Literal["allowed", "blocked", "rejected", "expired", "cancelled", "failed"]
"""How an exchange ended. Exactly one of them is recorded for every accepted request.

``allowed`` the model's answer went to the caller; ``blocked`` a rule refused it; ``rejected`` the
caller, route, body or reviewer said no; ``expired`` nobody decided in time; ``cancelled`` the caller
hung up; ``failed`` the model, the gateway or the disk did not do its part.
"""

Direction = Literal["request", "response"]


class HasMetadata(Protocol):
    """A mitmproxy flow, as far as this module cares."""

    metadata: dict[str, Any]


class Refused(Exception):
    """A station's decision that this exchange goes no further; the caller is told in their API's words.

    ``status`` is chosen so that SDKs do not blindly retry, ``code`` is stable, ``message`` says what to do
    next and holds no secret, ``more`` is what a program may need.
    """

    def __init__(self, status: int, code: str, message: str, outcome: Outcome = "rejected", **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.outcome = outcome
        self.more = more


class Relay(Protocol):
    """A streamed answer on its way to the caller."""

    over: bool

    def is_long(self, chunk: bytes) -> bool:
        """Tell whether others would have to wait while a chunk is inspected."""
        ...

    def wait(self, chunk: bytes) -> None:
        """Take a chunk that is to be inspected while others go on."""
        ...

    async def inspect(self) -> None:
        """Inspect the chunk that waits."""
        ...

    def take(self) -> list[bytes]:
        """Return what the caller may have of the chunk that was inspected."""
        ...

    def cut(self, reason: str) -> bytes:
        """End the stream after the model broke it off; return the last bytes for the caller."""
        ...


class Exchange:
    """One request and its answer; shared by all stations, and the only thing they share.

    Beside the ``facts``, which are recorded, it carries what lives only while the request does: the ``policy`` it
    began under, its ``principal``, ``target``, ``connection`` and wire ``format``; the parsed request ``body`` and
    ``answer``, and the ``reading`` of the one at hand; the ``stages`` that a streamed answer passes, and the
    ``relay`` that moves it; ``drop_repeats`` when what says a text again (log probabilities) must go;
    ``unmasking``, which gives the caller back what was hidden for them; ``sent``, the bytes of a stream as they are
    recorded; ``unseen``, the kinds of content (images, audio) that a rule lets pass though nobody can look into
    them; ``opening``, the handshake of a caller who opens a WebSocket, and ``conversation``, what is said on it;
    ``matched``, the texts that rules matched; ``redact``, which hides personal data in a text shown to others;
    ``refusal``, what the caller is told. ``cleared`` is set by the gate alone: without it nothing is sent to the
    model. ``settled`` once the outcome is recorded.
    """

    __slots__ = (
        "__weakref__",
        "answer",
        "body",
        "cleared",
        "connection",
        "conversation",
        "drop_repeats",
        "facts",
        "format",
        "matched",
        "opening",
        "policy",
        "principal",
        "reading",
        "redact",
        "refusal",
        "relay",
        "sent",
        "settled",
        "stages",
        "target",
        "unmasking",
        "unseen",
    )

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {
            "id": f"hg-{secrets.token_hex(10)}",
            "started": time.time(),
            "policy": "",
            "principal": None,
            "connection": "",
            "route": "",
            "model": "",
            "streamed": False,
            "stamps": {},
            "verdicts": [],
            "approval": None,
            "masked": {"request": {}, "response": {}},
            "outcome": "",
            "reason": "",
            "status": 0,
        }
        self.policy: Any = None
        self.principal: Any = None
        self.target: Any = None
        self.connection: Any = None
        self.format: Any = None
        self.body: Any = None
        self.answer: Any = None
        self.reading: Any = None
        self.unseen: frozenset[str] = frozenset()
        self.unmasking: Any = None
        self.stages: list[Any] = []
        self.relay: Relay | None = None
        self.opening: Any = None
        self.conversation: Any = None
        self.matched: list[str] = []
        self.redact: Callable[[str], str] | None = None
        self.sent: bytearray | None = None
        self.refusal: Refused | None = None
        self.drop_repeats = False
        self.cleared = False
        self.settled = False

    @classmethod
    def begin(cls, flow: HasMetadata) -> "Exchange":
        """Attach a new exchange to a flow; whatever the flow said of itself before is dropped."""
        exchange = cls()
        flow.metadata[METADATA_KEY] = exchange.facts
        _LIVE[flow] = exchange
        return exchange

    @classmethod
    def of(cls, flow: HasMetadata) -> "Exchange":
        """Return the flow's exchange.

        Raises:
            LookupError: no exchange was begun for this flow, so nothing vouches for it.
        """
        exchange = _LIVE.get(flow)
        if exchange is None:
            raise LookupError("this flow did not enter through the chain")
        return exchange

    @property
    def id(self) -> str:
        """Return the identifier that errors, logs, ledger and recordings share."""
        return str(self.facts["id"])

    @property
    def answered(self) -> bool:
        """Tell whether the gateway itself has answered, so that the model must not be asked."""
        return bool(self.facts["outcome"])

    def finish(self, outcome: Outcome, reason: str) -> bool:
        """Fix the outcome; the first one stands. Return whether this call was the first."""
        if self.facts["outcome"]:
            return False
        self.facts["outcome"] = outcome
        self.facts["reason"] = reason
        return True

    def stamp(self, station: str, phase: str) -> None:
        """Note that a station has done its work on the request or the response."""
        self.facts["stamps"][f"{station}.{phase}"] = round(time.time() - self.facts["started"], 6)

    def stamped(self, station: str, phase: str) -> bool:
        """Tell whether a station has done its work in this phase."""
        return f"{station}.{phase}" in self.facts["stamps"]

    def count_masked(self, direction: Direction, entity: str, count: int = 1) -> None:
        """Add to the number of entities hidden, by type."""
        counts = self.facts["masked"][direction]
        counts[entity] = counts.get(entity, 0) + count


_LIVE: Final[WeakKeyDictionary[HasMetadata, Exchange]] = WeakKeyDictionary()
