"""Encodings and look-alikes that rules see through, in whole texts and in streams."""

import base64
import html
import json
import unicodedata
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopguard.guardrail.look_alikes import LOOK_ALIKES
from hoopguard.guardrail.normalising import folded, folds, undisguised
from hoopguard.guardrail.rules import CannotBeInspected, CompiledRule, judge
from hoopguard.guardrail.streaming import RuleStream, StreamRules
from hoopguard.guardrail.views import Looking, decoded_views, shallow_views
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind
from hoopguard.policy.model import Guardrail

SECRET = "tropical thunder"


def compiled(**said: Any) -> CompiledRule:
    return CompiledRule.of(Guardrail(**{"name": "r", "action": "block", **said}), observe_all=False)


BY_WORD = compiled(words=(SECRET,))
BY_PATTERN = compiled(patterns=(r"tropical\s+thunder", "^KEY-[0-9]{4}"))


def seen_by(text: str, rule: CompiledRule = BY_WORD, kind: Kind = Kind.TEXT) -> str | None:
    """Return by which view a rule matches a text."""
    verdicts = judge([rule], [Text((), kind, text)])
    return verdicts[0].view if verdicts else None


def b64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def entities(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


def wrapped(text: str, width: int, end: str = "\n") -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


LONG = f"please tell me all there is to know about {SECRET}, and do it quickly"
ENCODED = {
    "base64": b64(SECRET),
    "base64 without padding": b64(SECRET).rstrip("="),
    "base64 of a sentence": b64(LONG),
    "base64, url-safe": base64.urlsafe_b64encode(f"\u00ff\u00fe\u00ff {SECRET} ???>>>".encode()).decode(),
    "base64 in 76 columns": wrapped(b64(LONG * 3), 76),
    "base64 in 25 columns, indented": wrapped(b64(LONG), 25, "\r\n  "),
    "base64 after something": f"x{b64(SECRET)}",
    "base64 in a path": f"https://example.com/a/{b64(SECRET)}/b",
    "base64 in a data URL": f"data:text/plain;base64,{b64(SECRET)}",
    "base64 between bytes": base64.b64encode(b"\xff\x00\x80\x80" + SECRET.encode() + b"\xfe\xfd").decode(),
    "base64 of UTF-16": b64(SECRET, "utf-16-le"),
    "base64 of UTF-16, big end first": b64(SECRET, "utf-16-be"),
    "hex": SECRET.encode().hex(),
    "hex, upper case": SECRET.encode().hex().upper(),
    "hex with spaces": SECRET.encode().hex(" "),
    "hex with colons": SECRET.encode().hex(":"),
    "hex of C": ", ".join(f"0x{byte:02x}" for byte in SECRET.encode()),
    "hex in strings": "".join(f"\\x{byte:02x}" for byte in SECRET.encode()),
    "hex after a digit": "a" + SECRET.encode().hex(),
    "percent": percent(SECRET),
    "percent, some": "tro%70ical%20thund%65r",
    "entities": entities(SECRET),
    "entities, hexadecimal": "".join(f"&#x{ord(char):X};" for char in SECRET),
    "entities, without end": "".join(f"&#{ord(char)}" for char in SECRET),
    "entities, padded": "tropical&#000000000032;thunder",
    "entities, named": "tropical&nbsp;thunder",
    "escapes": "".join(f"\\u{ord(char):04x}" for char in SECRET),
    "base64 of base64": b64(b64(SECRET)),
    "base64 of percent": b64(percent(SECRET)),
    "percent of base64": percent(b64(SECRET)),
    "percent of percent": quote(percent(SECRET), safe=""),
    "entities of hex": entities(SECRET.encode().hex()),
    "hex of entities": entities(SECRET).encode().hex(),
    "base64 of entities of percent": b64(html.escape(entities(percent(SECRET)))),
    "base64 of look-alikes": b64("tr\u043epic\u0430l thunder"),
    "base64 with invisible characters": "\u200b".join(b64(SECRET)),
    "base64, full width": "".join(chr(ord(char) + 0xFEE0) for char in b64(LONG)),
    "entities of look-alikes": "tr&#1086;pic&#1072;l thunder",
    "look-alikes and percent": "tr\u043epical%20thund\u0435r",
}
LIKENESSES = {
    "Cyrillic": "t\u0433\u043e\u0440\u0456\u0441\u0430l thund\u0435\u0433",
    "Cyrillic capitals": "\u0422R\u041e\u0420\u0406\u0421\u0410L \u0422\u041dUND\u0415R",
    "Cyrillic that is its capital's likeness": "\u0442ropical \u0442\u043dunder",
    "Greek": "tr\u03bfpi\u03f2\u03b1l thund\u03b5r",
    "small capitals": "\u1d1b\u0280\u1d0f\u1d18\u026a\u1d04\u1d00\u029f \u1d1b\u029c\u1d1c\u0274\u1d05\u1d07\u0280",
    "boxes": "\U0001f183\U0001f181\U0001f17e\U0001f17f\U0001f178\U0001f172\U0001f170\U0001f17b thunder",
    "struck out": "".join(f"{char}\u0336" if char != " " else char for char in SECRET),
    "with marks": "tr\u0489o\u0489pical thunder\u0330",
    "Cherokee": "\u13a2ropical \u13a2hunder".lower().replace("\uab72", "\u13a2"),
}


@pytest.mark.parametrize("text", ENCODED.values(), ids=ENCODED.keys())
@pytest.mark.parametrize("rule", [BY_WORD, BY_PATTERN], ids=["word", "pattern"])
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON_TEXT])
def test_an_encoded_text_is_seen_through(text: str, rule: CompiledRule, kind: Kind) -> None:
    """Alone, in a sentence, in quotes, and inside a tool's arguments; the verdict names the view."""
    for around in (text, f"decode {text} and do it", f'x="{text}";', f"({text})."):
        value = json.dumps({"q": around}) if kind is Kind.JSON_TEXT else around
        assert seen_by(value, rule, kind) in ("decoded", "unescaped" if "\\u" in value else "decoded")


@pytest.mark.parametrize("text", LIKENESSES.values(), ids=LIKENESSES.keys())
def test_look_alikes_are_seen_through(text: str) -> None:
    """Letters of other scripts that look like a word's, in any case, boxed letters, and marks laid on them."""
    assert text.casefold() != SECRET
    assert seen_by(f"about {text}!") == "folded"


@pytest.mark.parametrize("text", ["KEY-\u0661\u0662\u0663\u0664", "KEY-\u0967\u0968\u0969\u096a"])
def test_digits_of_other_scripts_are_digits(text: str) -> None:
    """A number means the same in any script."""
    assert seen_by(text, BY_PATTERN) == "folded"


def test_words_in_other_scripts_are_found_as_they_are() -> None:
    """Folding them to ASCII is one more view, and replaces none."""
    rule = compiled(words=("\u0441\u0435\u043a\u0440\u0435\u0442",), patterns=("\u043f\u0430\u0440\u043e\u043b\u044c",))
    assert seen_by("\u0421\u0435\u043a\u0440\u0435\u0442!", rule) == "text"
    assert seen_by("\u0441\u0435\u043a\u200b\u0440\u0435\u0442!", rule) == "normalised"
    assert seen_by(b64("\u043f\u0430\u0440\u043e\u043b\u044c"), rule) == "decoded"
    assert seen_by(b64("a \u043f\u0430\u0440\u043e\u043b\u044c"), rule) == "decoded"
    assert seen_by(b64("\u673a\u5bc6\u6587\u4ef6"), compiled(words=("\u673a\u5bc6\u6587\u4ef6",))) == "decoded"


def test_an_accent_makes_another_letter() -> None:
    """What is no disguise is not undone."""
    rule = compiled(words=("resume",))
    assert seen_by("r\u00e9sum\u00e9", rule) is None
    assert seen_by("re\u0301sume\u0301", rule) is None


def test_each_look_alike_is_itself_without_disguise() -> None:
    """So that normalising leaves it for folding; and what folding has to look at is known by its characters."""
    for like, chars in LOOK_ALIKES.items():
        for char in chars:
            assert undisguised(char) == char
            assert folded(char) == like
            assert folds(char)
            assert not unicodedata.category(char).startswith("M")


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    """And what no character of it folds is left as it is."""
    visible = undisguised(text)
    once = folded(visible)
    assert folded(once) == once
    if not any(map(folds, text)):
        assert once == visible


@pytest.mark.parametrize(
    "text",
    [
        b64("sunny weather is here to stay"),
        base64.b64encode(bytes(range(256)) * 40).decode(),
        "5f4dcc3b5aa765d61d8327deb882cf99 " * 50,
        "d0763edaa9d9bd2a9516280e9044d885\n" * 50,
        "100%25 of AT&T &amp; others: C:\\users\\xavier, 50%, &unknown; &#xffffff; &#9999999;",
        "%zz %4 % &# &; \\u12 \\x1",
        percent(percent("fine")),
        "2024-05-06 12:34:56, 33 44 55 66 77",
        "-----BEGIN CERTIFICATE-----\n" + wrapped(b64("x" * 3000), 64),
    ],
)
def test_ordinary_encoded_text_is_neither_refused_nor_matched(text: str) -> None:
    """Images, hashes, certificates, percentages."""
    assert seen_by(text) is None


def nested(layers: int) -> str:
    text = SECRET
    for _ in range(layers):
        text = b64(text)
    return text


def test_what_is_encoded_too_often_is_refused() -> None:
    """Nobody can say what it says, unless no rule that demands something is asked."""
    assert seen_by(nested(4)) == "decoded"
    for rule in (BY_WORD, compiled(words=("x",), action="approve", approval="a")):
        with pytest.raises(CannotBeInspected):
            seen_by(nested(5), rule)
    assert seen_by(nested(5), compiled(words=(SECRET,), action="flag")) is None
    assert seen_by(nested(5), compiled(words=(SECRET,), mode="observe")) is None


def test_a_rule_that_blocks_speaks_before_what_cannot_be_inspected() -> None:
    """The caller is told the rule's own message."""
    assert seen_by(f"{SECRET} {nested(6)}") == "text"


HOSTILE = {
    "percents of percents": "%25" * 40_000,
    "a percent of percents": "%" + "25" * 50_000,
    "nested base64": nested(22),
    "hex": "6" * 100_000,
    "hex of hex": ("61" * 500).encode().hex() * 50,
    "hex with spaces": "66 " * 40_000,
    "base64 that says itself": "ISISISIS" * 12_000,
    "runs": "SGVsbG8h " * 12_000,
    "lines": ("ISISISISISISISISISISISIS\n") * 5_000,
    "lines cut short": ("A" * 21 + "\r\n   ") * 5_000,
    "entities": "&amp;" * 20_000,
    "entities without end": "&" * 100_000,
    "digits of an entity": "&#" + "1" * 100_000,
    "escapes": "\\u005c" * 20_000,
    "letters": "a" * 100_000,
    "letters and line breaks": "a\n" * 50_000,
    "zeros": "0x" * 50_000,
    "look-alikes": "\u0430" * 100_000,
    "marks": "a\u0336" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON_TEXT])
def test_hostile_texts_are_judged_or_refused_with_bounded_work(text: str, kind: Kind) -> None:
    """What is looked at in all is a small multiple of the text, however it is encoded."""
    found, normalised = shallow_views(Text((), kind, text))
    found += decoded_views(normalised, Looking())
    assert sum(len(view.said) for view in found) <= 60 * len(text)
    assert len(found) <= 10 + len(text)


PIECES = (
    *(
        "tropical",
        "tropical ",
        " thunder",
        "thunder",
        "KEY-",
        "12",
        "34",
        "-",
        " ",
        "\n",
        ".",
        "=",
        "a",
        "x",
        "0x",
        "%",
        "&",
    ),
    *(
        "tr\u043epical",
        "\u0435",
        "\u0336",
        "\u0301",
        "\u200b",
        "\u0661",
        "\u00df",
        "\uff34",
        "\\",
        ";",
        "#",
        "25",
        ", ",
    ),
    *(
        b64(SECRET),
        b64(SECRET).rstrip("="),
        b64("tropical"),
        b64("KEY-1234"),
        b64(SECRET)[:9],
        b64(LONG),
        b64(b64(SECRET)),
    ),
    *(b"KEY-1234".hex(" "), b"KEY-1234".hex(), b"tropical".hex(":"), "4b", "45", "59", "2d"),
    *(
        percent(SECRET),
        percent("KEY-1"),
        percent(b64(SECRET)),
        percent("\u0435"),
        entities("thunder"),
        "&#x20",
        "&#32;",
        "&nbsp;",
    ),
    *(
        "\\u0074",
        "\\x4b",
        b64(percent("KEY-1234")),
        wrapped(b64(LONG), 24),
        b64("thund\u0435r"),
        "A" * 21,
        "%41" * 3,
        "&amp;",
    ),
)
encoded_texts = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=6)
RULES = {
    "words": compiled(words=(SECRET, "x", "ab a")),
    "patterns": compiled(patterns=("KEY-[0-9]{4}", r"tropical\s+thunder")),
    "anchored": compiled(patterns=(r"^KEY-[0-9]{4}$", r"\btropical\b.\bthunder\b", "a{3}")),
}


def begin(*rules: CompiledRule, kind: Kind = Kind.TEXT, max_held_chars: int = 16_384) -> RuleStream:
    return StreamRules(rules, max_held_chars=max_held_chars).begin(kind)


def run(stream: RuleStream, text: str, lengths: list[int]) -> str:
    """Return what comes out of a stream until it is stopped."""
    shown, at, turn = "", 0, 0
    with suppress(CannotBeInspected):
        while at < len(text) and not stream.stopped:
            length = lengths[turn % len(lengths)]
            shown += stream.feed(text[at : at + length])
            at, turn = at + length, turn + 1
        if not stream.stopped:
            shown += stream.finish()
    return shown


def refused(stream: RuleStream) -> bool:
    return stream.stopped or stream.given_up


def would_be_refused(text: str, rule: CompiledRule, kind: Kind) -> bool:
    try:
        return seen_by(text, rule, kind) is not None
    except CannotBeInspected:
        return True


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON_TEXT], ids=["text", "json"])
@settings(max_examples=250, deadline=None)
@given(text=encoded_texts, lengths=sizes)
def test_an_encoded_stream_is_stopped_if_and_only_if_the_whole_would_be_refused(
    rule: CompiledRule, kind: Kind, text: str, lengths: list[int]
) -> None:
    """However it is cut; and what is out by then is not forbidden."""
    stream = begin(rule, kind=kind)
    shown = run(stream, text, lengths)
    assert refused(stream) == would_be_refused(text, rule, kind)
    assert text.startswith(shown)
    if refused(stream):
        assert not would_be_refused(f"{shown}\n", rule, kind) or kind is Kind.JSON_TEXT
    else:
        assert shown == text


@pytest.mark.parametrize("text", [*ENCODED.values(), *LIKENESSES.values()], ids=[*ENCODED, *LIKENESSES])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_nothing_of_what_is_encoded_or_looks_alike_is_out_before_a_stream_stops(text: str, size: int) -> None:
    """Word by word, the rest goes on."""
    stream = begin(BY_WORD)
    shown = run(stream, f"here it is: {text} - enjoy", [size])
    assert stream.stopped
    assert "here it is: ".startswith(shown) or text.startswith(("tro", "https", "data"))


def test_a_stream_that_is_encoded_too_often_ends() -> None:
    """As a whole answer would be refused."""
    stream = begin(BY_WORD)
    with pytest.raises(CannotBeInspected):
        stream.feed(f"see {nested(5)} there")
    noted = begin(compiled(words=(SECRET,), action="flag"))
    assert run(noted, f"see {nested(5)} there", [4]) == f"see {nested(5)} there"
