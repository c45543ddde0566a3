"""Texts to find things in: prose, entities of every type, near misses, and what comes between them."""

from typing import Any, Final

from hypothesis import strategies as st

from bench.detection import STOCK_DEFAULTS
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.masker import Masker
from hoopguard.masking.streaming import TextStream
from hoopguard.pace import Load, Pace
from hoopguard.policy.model import Policy

ENTITIES: Final = (
    "bob@example.com",
    "ann.o'hara+tag@mail.example.co.uk",
    "x@sub-domain.example.org.",
    "(415) 867-5309",
    "+1 415 867 5309 ext. 12",
    "415-867-5309 x123",
    "+49 30 1234567",
    "4158675309,",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "378282246310005",
    "5555555555554444",
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "de89370400440532013000",
    "GB29NWBK60161331926819",
    "FR14 2004 1010 0505 0001 3M02 606",
    "536-90-4399",
    "536 90 4399",
    "911-70-1234",
    "912701234",
    "10.0.0.1",
    "2001:db8::8a2e:370:7334",
    "::1",
    "fe80::1ff:fe23:4567:890a",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "EMP-1234",
    "EMP-12345678",
    "emp-123456789",
    "ID7777",
    "Blue Whale",
    "red",
    "case no. 12 / 2024",
    "aa:bb:cc:dd:ee:ff",
    "2024-05-17",
    "12/31/1999",
    "21-JAN-2020",
    "https://www.example.com/path?q=1",
    "example.org",
    "A1234567",
    "943 476 5919",
    "AB1234563",
    "3333423456",
    "021000021",
)
NEAR_MISSES: Final = (
    "bob@",
    "@example",
    "a.b.c",
    "415-867",
    "4111 1111 1111 1112",
    "DE89 3704",
    "DE00370400440532013000",
    "EMP-123",
    "Blue",
    "Whale",
    "case no.",
    "1234",
    "12",
    "7",
    "10.0.0",
    "::",
    "0x1f",
    "2024-01-02 08:00",
    "2024-01-02 08",
    ":59",
    "211-227 (2003)",
    "x",
    "ext",
    "#",
    "$",
    "%",
    "be",
    "Be",
)
CONTEXT: Final = (
    "phone",
    "call",
    "card",
    "ssn",
    "iban",
    "email",
    "wallet",
    "passport",
    "account",
    "driver",
    "staff",
    "tax",
    "ip",
)
WORDS: Final = ("I", "like", "tea", "don't", "and/or", "naïve", "Straße", "你好", "e", "Ann", "OK", "étude")
SPACES: Final = (
    " ",
    " ",
    " ",
    "",
    "",
    "\n",
    ", ",
    ". ",
    "-",
    "/",
    "(",
    ")",
    "[",
    ":",
    ";",
    '"',
    "'",
    "  ",
    "...",
    "\u00a0",
    "\U0001f600",
    "|",
)

RECOGNISERS: Final = (
    {"name": "emp", "entity": "EMPLOYEE", "patterns": [r"EMP-\d{4,8}", r"ID\d{4}"], "context": ["staff", "id7777"]},
    {"name": "project", "entity": "PROJECT", "deny_list": ["Blue Whale", "Red", "naïve"]},
    {"name": "case", "entity": "CASE", "patterns": [r"case no\. \d+( / \d{4})?", r"^\w+ said:$"], "score": 0.5},
)
LAZY_RULES: Final = (
    {
        "name": "mine",
        "entities": ["EMPLOYEE", "PROJECT", "CASE"],
        "operator": {"mask": {"char": "#", "keep_last": 2}},
        "threshold": 0.5,
    },
    {"name": "sure", "entities": ["pack:pii"], "threshold": 0.7, "operator": "redact"},
    {"name": "rest", "entities": ["pack:pii", "PROJECT"], "threshold": 0.4},
)
EVERYTHING: Final = (*STOCK_DEFAULTS, "EMPLOYEE", "PROJECT", "CASE")

_pieces = st.one_of(
    st.sampled_from(ENTITIES),
    st.sampled_from(NEAR_MISSES),
    st.sampled_from(CONTEXT),
    st.sampled_from(WORDS),
    st.text(alphabet="abzAZ0123456789@.-+()[]:/ \n#xX,'é", max_size=12),
    st.text(max_size=4),
)
_chunks = st.tuples(_pieces, st.sampled_from(SPACES)).map("".join)
texts = st.lists(_chunks, max_size=14).map("".join)
"""Texts in which everything stands beside everything."""


def cut(text: str, sizes: list[int]) -> list[str]:
    """Cut a text into pieces of these sizes, taken round and round."""
    pieces, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)] if sizes else len(text)
        pieces.append(text[at : at + size])
        at += size
        turn += 1
    return pieces


sizes = st.one_of(st.just([1]), st.lists(st.integers(1, 9), min_size=1, max_size=20), st.just([7]))


def policy(*masks: Any, recognisers: Any = RECOGNISERS, **gateway: Any) -> Policy:
    """Return a policy with these mask tables."""
    return Policy.model_validate(
        {
            "version": 1,
            "gateway": gateway,
            "issuer": ({"name": "idp", "url": "http://localhost/idp", "audience": "hoopguard"},),
            "connection": (
                {"name": "llm", "upstream": "http://localhost:8000", "allow": ({"groups": ("*",)},)},
                {"name": "other", "upstream": "http://localhost:8001", "allow": ({"groups": ("*",)},)},
            ),
            "recogniser": list(recognisers),
            "mask": list(masks),
        },
        strict=False,
    )


class PatientMasker(Masker):
    """A masker for whose streams no time passes, so that a busy machine makes no test fail."""

    def stream(self, pace: Pace | None = None) -> TextStream:
        return super().stream(timeless() if pace is None else pace)

    def json_stream(self, pace: Pace | None = None) -> JsonTextStream:
        return super().json_stream(timeless() if pace is None else pace)


def timeless() -> Pace:
    """Return a pace whose clocks stand still."""
    return Pace(Load(lambda: 0.0), cpu=lambda: 0.0)


def masker(*masks: Any, recognisers: Any = RECOGNISERS, **gateway: Any) -> Masker:
    """Return the masker of a policy with these mask tables."""
    built = PatientMasker.build(policy(*masks, recognisers=recognisers, **gateway), "llm", "response")
    assert built is not None
    return built


def streamed(stream: Any, pieces: list[str]) -> str:
    """Feed pieces to a stream and join what comes out."""
    return "".join([stream.feed(piece) for piece in pieces]) + str(stream.finish())
