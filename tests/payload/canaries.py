"""Personal data at every place of a body, and the body as it comes out of a real masker."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
from hypothesis import strategies as st

from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.masker import Masker
from hoopguard.masking.streaming import TextStream
from hoopguard.pace import Load, Pace
from hoopguard.payload.channels import Channel, StopStream
from hoopguard.payload.fields import read, replace
from hoopguard.payload.framing import Event
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.sse import EventParser
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.tables import Fields, Kind, Opaque, Parts, Table
from hoopguard.policy.model import Policy

EMAIL: Final = "bob@example.com"
CARD: Final = 4111111111111111
PHONE: Final = "(415) 867-5309"
SECRETS: Final = (EMAIL, "bob@", str(CARD), "867-5309")
CANARIES: Final[tuple[Any, ...]] = (
    f"I am {EMAIL}, write",
    EMAIL,
    str(CARD),
    CARD,
    -CARD,
    f"my phone is {PHONE}",
    {EMAIL: 1},
    {"said": EMAIL},
    [EMAIL],
    [[CARD]],
    [{"said": str(CARD)}],
)
ESCAPED: Final = '{"to": "bob\\u0040example.com"}'


def build_masker() -> Masker:
    """Return the masker of a policy that hides the shipped pack."""
    policy = Policy.model_validate(
        {
            "version": 1,
            "issuer": ({"name": "idp", "url": "http://localhost/idp", "audience": "hoopguard"},),
            "connection": ({"name": "llm", "upstream": "http://localhost:8000", "allow": ({"groups": ("*",)},)},),
            "mask": ({"name": "pii", "entities": ("pack:pii",)},),
        }
    )
    masker = Masker.build(policy, "llm", "response")
    assert masker is not None
    return masker


MASKER: Final = build_masker()


# ── bodies out of a table ──


def bodies(fields: Fields, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield, for every place that a table knows and for unknown ones beside them, a body with ``value`` there."""
    yield from _bodies(fields.table, value)
    for head in {path.partition(".")[0] for path in fields.table} - {"*", ""}:
        yield f"{head}.unheard", {head: {"unheard": value}}
        yield f"{head}.*.unheard", {head: [{"unheard": value}]}
    yield "unheard", {"unheard": value}


def _bodies(table: Table, value: Any) -> Iterator[tuple[str, Any]]:
    for path, treatment in table.items():
        if not isinstance(treatment, Parts):
            yield path, placed(path, value)
            continue
        for label, part in _parts(treatment, value):
            yield f"{path}[{label}]", placed(path, part)


def _parts(parts: Parts, value: Any) -> Iterator[tuple[str, Any]]:
    taken: list[Table] = []
    yield "not a part", value
    yield "of no kind", {parts.by: value}
    for name, variant in parts.variants.items():
        yield f"{name}, unheard", {parts.by: name, "unheard": value}
        if not isinstance(variant, Opaque) and variant not in taken:
            taken.append(variant)
            for label, body in _bodies(variant, value):
                yield f"{name}].{label}", {**body, parts.by: name} if isinstance(body, dict) else body


def placed(path: str, value: Any) -> Any:
    """Return a body in which ``value`` stands at a dotted path."""
    for step in reversed(path.split(".") if path else []):
        value = [value] if step == "*" else {"any" if step == "?" else step: value}
    return value


# ── through the masker ──


def masked(body: Any, fields: Fields) -> Any:
    """Return a body as the gateway sends it on, masked; None if it is refused."""
    body = orjson.loads(orjson.dumps(body))
    root = [body]
    reading = read(root[0], fields)
    if reading.opaque or any(MASKER.mask(line).counts for name in reading.names for line in name.split("\n")):
        return None
    for node, key in reading.repeats:
        node[key] = None
    replace(reading, [masked_text(text.kind, text.value) for _, _, text in reading.texts])
    return body


def masked_text(kind: Kind, value: str) -> str:
    """Return a text as masking the whole of it gives it."""
    return (MASKER.mask_json if kind is Kind.JSON_TEXT else MASKER.mask)(value).text


def leaks(body: Any) -> bool:
    """Tell whether a body still holds what was to be hidden."""
    written = json.dumps(body, ensure_ascii=False)
    return any(secret in written for secret in SECRETS)


class MaskStage:
    """The masker's place in a stream; no time passes for it, so that a busy machine makes no test fail."""

    def __init__(self) -> None:
        self._streams: dict[Channel, TextStream | JsonTextStream] = {}

    def feed(self, channel: Channel, text: str) -> str:
        if channel not in self._streams:
            begin: Callable[[Pace], Any] = MASKER.json_stream if channel.kind is Kind.JSON_TEXT else MASKER.stream
            self._streams[channel] = begin(Pace(Load(lambda: 0.0), cpu=lambda: 0.0))
        return self._streams[channel].feed(text)

    def finish(self, channel: Channel) -> str:
        stream = self._streams.pop(channel, None)
        return stream.finish() if stream is not None else ""

    def check_names(self, names: Any) -> None:
        if any(MASKER.mask(name).counts for name in names):
            raise PermissionError("a name tells")


class Forbids:
    """Stop the stream when a channel has said a word."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._said: dict[Channel, str] = {}

    def feed(self, channel: Channel, text: str) -> str:
        self._said[channel] = self._said.get(channel, "") + text
        if self._word in self._said[channel]:
            raise StopStream({"code": "hoopguard_blocked", "message": "no"})
        return text

    def finish(self, channel: Channel) -> str:
        return ""


def stream_of(*events: dict[str, Any], done: bool = False, named: bool = False) -> bytes:
    """Return events as server-sent ones; ``named`` after their type, as Anthropic and Responses do."""
    sent = [Event(json.dumps(event), event["type"] if named else "") for event in events]
    return b"".join(event.encode() for event in (*sent, *([Event("[DONE]")] if done else [])))


def streamed(shape: StreamShape, raw: bytes, *stages: Any, cuts: tuple[int, ...] = ()) -> bytes:
    """Return a stream as the caller gets it, the network having cut it at some places."""
    stream = AnswerStream(shape, stages or (MaskStage(),), drop_repeats=True)
    out, at = b"", 0
    for cut in (*sorted(cuts), len(raw)):
        out += stream.feed(raw[at:cut])
        at = max(at, cut)
    return out + stream.finish()


def events_of(raw: bytes) -> list[tuple[str, Any]]:
    """Return a stream's events as name and body."""
    parser = EventParser()
    events = (*parser.feed(raw), *parser.finish())
    return [(event.event, event.data if event.data == "[DONE]" else json.loads(event.data)) for event in events]


# ── texts that are told piece by piece ──

_SAID: Final = st.sampled_from(
    (EMAIL, str(CARD), PHONE, "write to ", " ", "my card: ", ", ", ".", "\n", "étude", "bob@", "4111 1111 1111 1111")
)
TOLD: Final = st.lists(_SAID, min_size=1, max_size=6).map("".join)
"""Texts with something to hide in them."""
SIZES: Final = st.lists(st.integers(1, 9), min_size=1, max_size=5)
CUTS: Final = st.lists(st.integers(0, 4_000), max_size=8).map(tuple)
"""Where the network cuts a stream; what is beyond its end cuts nothing."""


def pieces_of(text: str, sizes: list[int]) -> Iterator[str]:
    """Yield a text as a model tells it: in pieces of these sizes, taken round and round."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            return
        yield text[at : at + size]
        at += size
