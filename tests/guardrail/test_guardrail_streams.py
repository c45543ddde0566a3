"""Rules over texts that arrive in pieces: the verdict of the whole, and nothing forbidden is out before it."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopguard.guardrail import normalising, readings
from hoopguard.guardrail.normalising import undisguised
from hoopguard.guardrail.rules import CompiledRule, judge
from hoopguard.guardrail.sought import Sought
from hoopguard.guardrail.streaming import HeldTooMuch, RuleStream, StreamRules
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind
from hoopguard.policy.model import Guardrail

RULES: tuple[dict[str, Any], ...] = (
    {"words": ("tropical thunder", "c++", "caf\u00e9", "x", ".env", "stra\u00dfe")},
    {"patterns": ("KEY-[0-9]{4}",)},
    {"patterns": (r"(?i)\bab+c\b", r"^b[^a]*a$", r"(?m)^1\.$")},
    {"patterns": (r"(?:a|b-)+1", r"\Aa\z"), "words": ("ab a",)},
    {"patterns": ("\u00e9b", r"[^\x00-\x7f]a", r"\pLb1")},
    {"patterns": (r"a{5,9}b", r"\x{61}b\Ba")},
    {"patterns": (r'"a": *"b', "ba$")},
)
PIECES = (
    *(
        "a",
        "b",
        "ab",
        "c",
        "1",
        "-",
        " ",
        ".",
        "\n",
        "x",
        "KEY-",
        "12",
        "34",
        "tropical",
        " thunder",
        "c+",
        "+",
        ".env",
    ),
    *(
        "caf\u00e9",
        "cafe",
        "\u0301",
        "\u0316",
        "e",
        "\u00e9",
        "\u200b",
        "\u00df",
        "ss",
        "stra",
        "\uff41",
        "\ufb01",
        "\u1100",
    ),
    *("\u1161", "\uff9e", "\uff76", "\x00", "\u673a", "\u0130", "\u03c3", "aaaa"),
)
ESCAPES = (
    "\\",
    '"',
    "\\\\",
    '\\"',
    "\\u0061",
    "\\u00",
    "e9",
    "\\ud83d",
    "\\ude00",
    "\\n",
    "{",
    ":",
    '{"a": "b',
    "\\u200b",
)
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
json_texts = st.lists(st.sampled_from(PIECES + ESCAPES), max_size=16).map("".join)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def compiled(*rules: dict[str, Any]) -> list[CompiledRule]:
    return [
        CompiledRule.of(Guardrail(**{"name": f"r{number}", "action": "block", **said}), observe_all=False)
        for number, said in enumerate(rules)
    ]


ALL_SOUGHT = [Sought.of(compiled(said)) for said in RULES]


def cut(text: str, lengths: list[int]) -> list[str]:
    pieces = []
    at = turn = 0
    while at < len(text):
        length = lengths[turn % len(lengths)]
        pieces.append(text[at : at + length])
        at, turn = at + length, turn + 1
    return pieces


def begin(rules: list[CompiledRule], kind: Kind = Kind.TEXT, max_held_chars: int = 16_384) -> RuleStream:
    return StreamRules(rules, max_held_chars=max_held_chars).begin(kind)


def run(stream: RuleStream, pieces: list[str]) -> str:
    """Return what comes out of a stream until it is stopped."""
    shown = ""
    for piece in pieces:
        shown += stream.feed(piece)
        if stream.stopped:
            return shown
    return shown + stream.finish()


def whole(rules: list[CompiledRule], text: str, kind: Kind) -> set[str]:
    return {verdict.rule.name for verdict in judge(rules, [Text((), kind, text)])}


@pytest.mark.parametrize("said", RULES, ids=range(len(RULES)))
@pytest.mark.parametrize(("kind", "some"), [(Kind.TEXT, texts), (Kind.JSON_TEXT, json_texts)], ids=["text", "json"])
@settings(max_examples=150, deadline=None)
@given(data=st.data(), lengths=sizes)
def test_a_stream_is_stopped_if_and_only_if_the_whole_would_be_refused(
    said: dict[str, Any], kind: Kind, some: st.SearchStrategy[str], data: st.DataObject, lengths: list[int]
) -> None:
    """However it is cut; and what is out until then is nothing that would be refused, whatever comes after it."""
    text = data.draw(some)
    rules = compiled(said)
    stream = begin(rules, kind)
    shown = run(stream, cut(text, lengths))
    assert stream.stopped == bool(whole(rules, text, kind))
    if stream.stopped:
        assert text.startswith(shown)
        assert len(shown) < len(text)
        assert not whole(rules, shown + "\n", kind) or kind is Kind.JSON_TEXT
    else:
        assert shown == text


@pytest.mark.parametrize("said", RULES[:4], ids=range(4))
@settings(max_examples=60, deadline=None)
@given(text=texts, lengths=sizes)
def test_what_is_out_before_a_stop_is_none_of_a_match(said: dict[str, Any], text: str, lengths: list[int]) -> None:
    """No pattern's match that is in the text as it stands has begun in what was shown."""
    rules = compiled(said)
    stream = begin(rules)
    shown = run(stream, cut(text, lengths))
    for rule in rules:
        for pattern in rule.patterns:
            assert all(match.start() >= len(shown) for match in pattern.finditer(text))


@settings(max_examples=150, deadline=None)
@given(text=json_texts, lengths=sizes, kind=st.sampled_from([Kind.TEXT, Kind.JSON_TEXT]))
def test_rules_that_are_only_noted_are_those_that_match_the_whole(text: str, lengths: list[int], kind: Kind) -> None:
    """And they hold nothing back."""
    rules = compiled(*({**said, "action": "flag"} for said in RULES))
    stream = begin(rules, kind)
    assert "".join(map(stream.feed, cut(text, lengths))) == text
    assert stream.finish() == ""
    assert stream.hits.keys() == whole(rules, text, kind)


_words = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(_words, min_size=1, max_size=20), lengths=sizes)
def test_prose_is_held_back_by_no_more_than_the_word_it_ends_in(words: list[str], lengths: list[int]) -> None:
    """Whether a word of a rule begins like it or not."""
    stream = begin(compiled({"words": ("bluebird", "caf\u00e9"), "patterns": (r"KEY-\d+", r"(?i)\bsecret\b")}))
    so_far = ""
    for piece in cut(" ".join(words), lengths):
        stream.feed(piece)
        so_far += piece
        assert stream.held_chars <= len(so_far) - 1 - so_far.rfind(" ")


@pytest.mark.parametrize(
    ("so_far", "held"),
    [
        ("the project ", "project "),
        ("the project n", "project n"),
        ("the project nightly ", ""),
        ("subproject n ", ""),
        ("a KEY-12", "KEY-12"),
        ("a KEY-x ", ""),
        ("a KEY-1.", ""),
        ("f\u00fcr project ", "project "),
        ("f\u00fcr alle ", ""),
        ("f\u00fcr alle", "alle"),
        ("\u673a\u5bc6 ", ""),
    ],
)
def test_held_back_is_what_could_still_become_forbidden(so_far: str, held: str) -> None:
    """Also what a mark that follows could make of a last letter."""
    stream = begin(compiled({"words": ("project nightfall",), "patterns": ("KEY-[0-9]{4}",)}))
    assert stream.feed(so_far) == so_far.removesuffix(held)
    assert stream.held_chars == len(held)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("text", ["the cafe\u0301 now", "the c\u200bafe\u0301!", "the cafe\u200b\u0301."])
def test_a_mark_that_comes_later_makes_a_word_of_the_letters_before_it(text: str, size: int) -> None:
    """And they are not out by then."""
    stream = begin(compiled({"words": ("caf\u00e9",)}))
    shown = run(stream, cut(text, [size]))
    assert stream.stopped
    assert "the ".startswith(shown)


def test_more_than_the_policy_allows_is_not_held_back() -> None:
    """A pattern that reaches without end stops what could be its match, rather than let it out."""
    stream = begin(compiled({"patterns": ("(?s)BEGIN.*END",)}), max_held_chars=300)
    assert stream.feed("so: BEGIN") == "so: "
    stream.feed("x" * 290)
    with pytest.raises(HeldTooMuch):
        stream.feed("x" * 20)


@pytest.mark.parametrize("opening", ["<<", "e" + "\u0301" * 9, "\u200b" * 9])
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON_TEXT])
def test_what_is_only_noted_is_not_remembered_without_end(opening: str, kind: Kind) -> None:
    """A pattern that reaches without end is looked for in parts; a match within one of them is still noted."""
    stream = begin(compiled({"patterns": ("(?s)<<.*>>",), "action": "flag"}), kind, max_held_chars=300)
    for _ in range(500):
        assert stream.feed(opening) == opening
    assert len(repr(_inside(stream._noting))) < 20_000
    stream.feed(" so << x >> y")
    stream.finish()
    assert stream.hits


@pytest.mark.parametrize("pattern", [r"\Qa.b\E", r"\101B", "A{,2}", "(?:x(?i)y)"])
def test_a_pattern_whose_beginnings_are_not_understood_holds_all_back(pattern: str) -> None:
    """Nothing of what it might forbid is out."""
    sought = Sought.of(compiled({"patterns": (pattern,)}))
    assert sought.anything
    assert begin(compiled({"patterns": (pattern,)})).feed("hello there ") == ""


def test_what_looks_odd_and_is_not_is_understood() -> None:
    """An escaped backslash before a letter, flags for all of the pattern, a pattern too large to count."""
    for pattern in (r"\\Q", r"(?i)a|b", "[a-z]{500}x", r"(?P<name>a)b"):
        assert not Sought.of(compiled({"patterns": (pattern,)})).anything


def test_flags_hold_for_every_alternative_of_a_pattern() -> None:
    """Also in what is held back."""
    stream = begin(compiled({"patterns": ("(?i)alpha|secret key",)}))
    assert stream.feed("my SECRET K") == "my "


def test_characters_that_join_what_is_before_them_never_begin_anything() -> None:
    """Each second character of a canonical composition is known as such, in any script."""
    seconds = set()
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(chr(int(parts[1], 16)))
    joining = [char for char in seconds if unicodedata.normalize("NFKC", "a" + char) and normalising.begins(char)]
    jamo = {chr(code) for code in range(0x1161, 0x11C3)}
    assert not [char for char in joining if char not in jamo]
    assert not [char for char in jamo if normalising.begins(char)]


@settings(max_examples=300, deadline=None)
@given(
    text=texts | st.text(alphabet="abxA1-.! _KT", max_size=6),
    before=st.sampled_from(["", "a", "_", " ", "\n", "\u00e9", "ab"]),
)
def test_in_what_is_quiet_nothing_begins(text: str, before: str) -> None:
    """Whatever is before it: nothing is found from there on, and nothing can be."""
    for sought in ALL_SOUGHT:
        window, start = before + text, len(before)
        if sought.quiet.fullmatch(window, start):
            assert sought.earliest(window, start) == len(window)
            assert not sought.matched(window, start, len(window) + 1)


def test_most_of_what_a_model_says_is_quiet() -> None:
    """So that it costs next to nothing."""
    sought = Sought.of(compiled({"words": ("bluebird",), "patterns": ("-----BEGIN",)}))
    assert sought.quiet.fullmatch("The quick fox, 7 of 12, jumps over it (or stumbles).")
    assert not sought.quiet.fullmatch("a big fox")
    assert not sought.quiet.fullmatch("a - b")


def test_words_that_fold_to_more_letters_keep_their_places() -> None:
    """A sharp s is two letters without case."""
    stream = begin(compiled({"words": ("tropical",)}))
    assert stream.feed("stra\u00dfe stra\u00dfe trop") == "stra\u00dfe stra\u00dfe "


def test_what_a_stream_keeps_does_not_grow_with_its_length() -> None:
    """Neither in what is searched nor in where it stands."""
    stream = begin(compiled({"words": ("bluebird",)}, {"words": ("f\u00fcr",), "action": "flag"}), Kind.JSON_TEXT)
    for _ in range(400):
        stream.feed('"f\u00fcnf \\u00fc blue"')
    kept = [*stream._stopping, *stream._noting]
    assert len(repr(_inside(kept))) < 20_000


def _inside(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_inside(each) for each in value]
    if type(value).__module__.startswith("hoopguard.guardrail.") and hasattr(value, "__dict__"):
        return {key: _inside(each) for key, each in vars(value).items() if key not in ("_sought", "_hits")}
    return value


def test_arguments_in_tiny_pieces_are_judged_once() -> None:
    """What is looked at grows with the text, not with its square."""
    looked_at = 0
    rules = StreamRules(
        compiled({"words": ("bluebird",), "patterns": ("KEY-[0-9]{4}", "(?s)<<.*>>")}), max_held_chars=16_384
    )
    text = json.dumps({"files": ["src/main.py: \u00fc"] * 700, "note": "<<" + "y" * 9_000})
    earliest = Sought.earliest

    def note(self: Sought, window: str, start: int) -> int:
        nonlocal looked_at
        looked_at += len(window) - start
        return earliest(self, window, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sought, "earliest", note)
        assert run(rules.begin(Kind.JSON_TEXT), cut(text, [4])) == text
    assert looked_at < 400 * len(text)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), sizes)
def test_a_text_is_undisguised_in_pieces_as_it_is_in_whole(text: str, lengths: list[int]) -> None:
    """Normalising in pieces ends each where nothing that follows joins in."""
    seen: list[str] = []

    class View:
        pending = end = 0

        def feed(self, part: str) -> None:
            seen.append(part)

        def finish(self) -> None:
            pass

    view: Any = View()
    stream = readings._Normalised(view)
    for piece in cut(text, lengths):
        stream.feed(piece)
    stream.finish()
    assert "".join(seen) == undisguised(text)
