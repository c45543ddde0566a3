"""Most of what a model says is passed over, and what a piece of a stream may take of the loop has a budget."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopguard.guardrail.addon import _STEP_CHARS, _Watch
from hoopguard.guardrail.calm import calm_up_to, last_word
from hoopguard.guardrail.decoding import encodes, open_from
from hoopguard.guardrail.readings import Disguised
from hoopguard.guardrail.rules import CompiledRule, judge
from hoopguard.guardrail.streaming import RuleStream, StreamRules
from hoopguard.pace import DetectionGaveUp, Load, Pace
from hoopguard.payload.channels import Channel
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind
from hoopguard.policy.model import Guardrail

CONTENT = Channel(("choices", 0, "content"), Kind.TEXT)
WORDS = (
    *(
        "The ",
        "capital ",
        "of ",
        "blue",
        "bird",
        " and",
        " so",
        ". ",
        "\n",
        ", ",
        "(",
        ")",
        "'s",
        "-",
        "KE",
        "Y-1",
        "2",
    ),
    *("hospital", "dHJvcGljYWwg", "c2VjcmV0", "41 42 ", "43 44", "%62", "&#98;", "&lt ", "\\u0062", "=", ";", "/"),
    *("\u00fc", "e", "\u0301", "\u200b", "\u2014", "internationalisation", "\r\n  ", "_", "#", "x", "b"),
)
texts = st.lists(st.sampled_from(WORDS), max_size=14).map("".join)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def rules(action: str = "block") -> StreamRules:
    said: Any = {"words": ("bluebird", "x and"), "patterns": (r"KEY-\d", r"^b\b", r"(?m)^so"), "action": action}
    return StreamRules([CompiledRule.of(Guardrail(name="r", **said), observe_all=False)], max_held_chars=16_384)


def feed(stream: RuleStream, text: str, lengths: list[int]) -> str:
    shown, at, turn = "", 0, 0
    while at < len(text) and not stream.stopped:
        shown += stream.feed(text[at : at + lengths[turn % len(lengths)]])
        at, turn = at + lengths[turn % len(lengths)], turn + 1
    return shown


@settings(max_examples=500, deadline=None)
@given(texts)
def test_what_is_calm_is_not_encoded_and_its_last_word_is_open(text: str) -> None:
    """As the readings would say of it, which are not asked."""
    quiet = rules().quiet
    end = calm_up_to(text, quiet)
    if end is not None:
        assert (end, end) == (open_from(text), last_word(text))
        assert not encodes(text[:end])
        assert quiet.fullmatch(text[:end])


@settings(max_examples=500, deadline=None)
@given(text=texts, lengths=sizes, action=st.sampled_from(["block", "flag"]))
def test_a_stream_that_rests_says_the_same_as_the_whole(text: str, lengths: list[int], action: str) -> None:
    """Also after something in it has been disguised or encoded, and however it is cut."""
    ruled = rules(action)
    whole = judge([*(ruled.stopping or ruled.noted or SimpleNamespace(rules=())).rules], [Text((), Kind.TEXT, text)])
    stream = ruled.begin(Kind.TEXT)
    shown = feed(stream, text, lengths)
    shown += "" if stream.stopped else stream.finish()
    assert bool(stream.hits) == bool(whole)
    assert (shown == text) == (action == "flag" or not whole)
    assert text.startswith(shown)


@pytest.mark.parametrize(
    "before", ["", "f\u00fcr \u2014 ", "caf\u0435\u0301 ", "50%2C it ", "aGVsbG8gd29ybGQgaGVsbG8 "]
)
def test_plain_words_are_looked_at_by_no_reading(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """Neither at a stream's beginning nor after something that was none."""
    stream = rules().begin(Kind.TEXT)
    shown = stream.feed(before)
    monkeypatch.setattr(Disguised, "feed", lambda *_: pytest.fail("it was looked at"))
    for piece in ("The", " capital", " of", " France", " is", " Paris", ", or", " they", " did."):
        shown += stream.feed(piece)
    assert shown == f"{before}The capital of France is Paris, or they did."


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(cpu: Clock) -> _Watch:
    exchange: Any = SimpleNamespace(facts={"verdicts": []}, id="x")
    return _Watch(exchange, rules(), Pace(Load(Clock()), cpu=cpu, turn_s=0.2))


def slow(monkeypatch: pytest.MonkeyPatch, cpu: Clock, seconds: float) -> list[int]:
    """Have each look at a text take so long; return what notes the sizes of what is looked at."""
    sizes: list[int] = []
    feed = Disguised.feed

    def look(self: Disguised, text: str) -> None:
        cpu.now += seconds
        sizes.append(len(text))
        feed(self, text)

    monkeypatch.setattr(Disguised, "feed", look)
    return sizes


def test_a_large_piece_is_looked_at_in_steps_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the stream ends; what is left is not looked at, and does not go on."""
    cpu = Clock()
    looked_at = slow(monkeypatch, cpu, 0.03)
    with pytest.raises(DetectionGaveUp):
        watch(cpu).feed(CONTENT, "\u00e9 " * 1_000_000)
    assert max(looked_at) <= _STEP_CHARS
    assert cpu.now < 0.3


def test_an_exchange_of_many_dear_pieces_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each of them has time enough."""
    cpu = Clock()
    slow(monkeypatch, cpu, 0.03)
    watching = watch(cpu)

    def say() -> None:
        for _ in range(1_000):
            watching.feed(CONTENT, "\u00e9 ")

    with pytest.raises(DetectionGaveUp):
        say()
    assert cpu.now < 1.5


def test_names_have_a_budget_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As texts have."""
    cpu = Clock()
    slow(monkeypatch, cpu, 0.03)
    with pytest.raises(DetectionGaveUp):
        watch(cpu).check_names(["\u00e9"] * 100_000)
    assert cpu.now < 0.3


@pytest.mark.parametrize("pattern", ["^q$", "q$", r"\bq", r"a|\b\z", "(?m)[^q]$", "u\u00fc?$"])
@pytest.mark.parametrize(
    "text", ['""', '{"a": ""}', '["q", "aq"]', '{"c": "q"}', '["u\\u00fc", ""', '"\\n', '"a\\\\"', 'x"', '""""']
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_strings_that_come_whole_are_judged_as_those_that_come_in_parts(pattern: str, text: str, size: int) -> None:
    """Also by patterns that match nothing but a text's end."""
    compiled = CompiledRule.of(Guardrail(name="r", patterns=(pattern,), action="block"), observe_all=False)
    stream = StreamRules([compiled], max_held_chars=16_384).begin(Kind.JSON_TEXT)
    feed(stream, text, [size])
    if not stream.stopped:
        stream.finish()
    assert stream.stopped == bool(judge([compiled], [Text((), Kind.JSON_TEXT, text)]))


@settings(max_examples=200, deadline=None)
@given(text=texts, size=st.sampled_from([7, 300, 5_000]))
def test_a_long_text_is_judged_as_a_short_one(text: str, size: int) -> None:
    """Though it is less exactly known where things stand in it."""
    ruled = rules()
    long = "caf\u0435\u0301 is \uff41! " * 40 + text + " e\u0301" * 200
    whole = judge([*(ruled.stopping or SimpleNamespace(rules=())).rules], [Text((), Kind.TEXT, long)])
    stream = ruled.begin(Kind.TEXT)
    shown = feed(stream, long, [size])
    shown += "" if stream.stopped else stream.finish()
    assert stream.stopped == bool(whole)
    assert long.startswith(shown)
    assert (shown == long) == (not whole)
