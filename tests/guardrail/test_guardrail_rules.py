"""Words and patterns, and the disguises that they see through."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.guardrail.normalising import undisguised
from hoopguard.guardrail.rules import CompiledRule, compile_rules, concerning, judge
from hoopguard.guardrail.views import shallow_views
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind
from hoopguard.policy.model import Guardrail, Policy, Unless


def rule(name: str = "r", **said: Any) -> Guardrail:
    return Guardrail(name=name, **{"action": "block", **said})


def hits(text: str, kind: Kind = Kind.TEXT, **said: Any) -> bool:
    return bool(judge([CompiledRule.of(rule(**said), observe_all=False)], [Text((), kind, text)]))


def policy(*rules: Guardrail, mode: str = "enforce") -> Policy:
    document = {
        "version": 1,
        "gateway": {"mode": mode},
        "issuer": ({"name": "i", "url": "https://i.example", "audience": "a"},),
        "connection": ({"name": "c", "upstream": "http://127.0.0.1:1", "allow": ({"groups": ("*",)},)},),
    }
    return Policy.model_validate(document).model_copy(update={"guardrails": rules})


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("tropical", True),
        ("TROPICAL", True),
        ("Project Tropical.", True),
        ("«tropical»", True),
        ("my_tropical_isle", True),
        ("tropical's", True),
        ("subtropical", False),
        ("tropicals", False),
        ("tropical1", False),
        ("subtropical, and tropical", True),
        ("étropical", False),
        ("tropicalя", False),
        ("tropic al", False),
        ("", False),
    ],
)
def test_a_word_matches_where_it_stands_alone_in_any_case(text: str, hit: bool) -> None:
    """A letter or digit next to a word makes it another word, in any alphabet."""
    assert hits(text, words=("Tropical",)) is hit


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("c++", "in c++, say"),
        ("top secret", "TOP SECRET!"),
        (".env", "the.env"),
        ("a.b", "a.b"),
        ("机密", "机密"),
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "cafe\u0301"),
        ("ｓｅｃｒｅｔ", "secret"),
        ("zero\u200bwidth", "zerowidth"),
    ],
)
def test_words_of_any_kind_are_found(word: str, text: str) -> None:
    """Case folding, punctuation, spaces, other scripts, and any way of writing the same letter."""
    assert hits(f"so: {text} !", words=(word,))


def test_a_words_punctuation_is_no_pattern() -> None:
    """A dot is a dot."""
    assert not hits("axb", words=("a.b",))
    assert not hits("x", words=("[x]", ".*"))


DISGUISES = {
    "zero width space": "sec\u200bret",
    "zero width joiner": "s\u200de\u200dcret",
    "soft hyphen": "se\u00adcret",
    "bidi override": "\u202esec\u202cret",
    "byte order mark": "\ufeffsecr\ufeffet",
    "tag characters": "sec\U000e0041ret",
    "variation selector": "sec\ufe0fret",
    "combining grapheme joiner": "sec\u034fret",
    "hangul filler": "sec\u3164ret",
    "fullwidth": "ｓｅｃｒｅｔ",
    "mathematical": "𝓼𝓮𝓬𝓻𝓮𝓽",
    "circled": "ⓢⓔⓒⓡⓔⓣ",
    "mixed": "ｓ\u200be\u00adⓒr\ufe0fet",
    "null": "sec\0ret",
    "backspace": "sec\x08ret",
    "delete": "sec\x7fret",
}


@pytest.mark.parametrize("text", DISGUISES.values(), ids=DISGUISES.keys())
@pytest.mark.parametrize("said", [{"words": ("secret",)}, {"patterns": ("secret",)}], ids=["word", "pattern"])
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON_TEXT])
def test_a_disguised_text_is_seen_through(text: str, said: dict[str, Any], kind: Kind) -> None:
    """Invisible characters and letters that only look different do not hide a word."""
    value = f"my {text} here"
    assert hits(value, kind, **said)
    assert hits(json.dumps({"x": value}) if kind is Kind.JSON_TEXT else value, kind, **said)


def test_the_text_as_it_is_counts_too() -> None:
    """A pattern may look for the disguise itself."""
    assert hits("a\u202eb", patterns=("\\x{202e}",))


@given(st.text(max_size=40))
def test_a_text_without_disguise_stays_so(text: str) -> None:
    """Undisguising twice is undisguising once, and nothing invisible is left."""
    once = undisguised(text)
    assert undisguised(once) == once
    assert not {unicodedata.category(character) for character in once} & {"Cf"}


ARGUMENTS = [
    '{"q": "secret"}',
    '{"secret": 1}',
    '{"q": "\\u0073ecret"}',
    '{"\\u0073ecret": 1}',
    '{"a": {"b": [["x", ["\\u0073ecret"]]]}}',
    '["\\u0073ecret"]',
    '"\\u0073ecret"',
    '[[{"a": "\\u0073ecret"}]]',
    '{"a": 1, "a": "\\u0073ecret", "a": 2}',
    '{"q": "\\u0073ecret',
    '{"q": "\\u0073ecret"} trailing',
    "{'q': '\\u0073ecret'}",
    '{"q": "\\u0073ec\\u200bret"}',
    '{"q": "sec\\u00adret',
    '{"q": "\\ud835\\udcfcecret"}',
    '{"q": "a\\nsecret\\tb"}',
    '{"q": "x\\ud800 secret"}',
    '{"q": "\\u0073ecret \\ud800',
    "[" * 3000 + '"\\u0073ecret"',
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=range(len(ARGUMENTS)))
@pytest.mark.parametrize("said", [{"words": ("secret",)}, {"patterns": ("secret",)}], ids=["word", "pattern"])
def test_a_json_text_is_read_as_what_it_means(arguments: str, said: dict[str, Any]) -> None:
    """Escapes are undone at any depth, in keys, in text that was cut, and in text that is not quite JSON."""
    assert hits(arguments, Kind.JSON_TEXT, **said)


def test_a_pattern_may_be_anchored_to_a_string_of_a_json_text() -> None:
    """Each string is a view of its own."""
    assert hits('{"q": "secret"}', Kind.JSON_TEXT, patterns=("^secret$",))


@given(st.text() | st.text(alphabet='{}[]",:\\u00d8dc9 ab', max_size=40), st.sampled_from([Kind.TEXT, Kind.JSON_TEXT]))
def test_every_text_can_be_judged(text: str, kind: Kind) -> None:
    """Whatever is in it, half surrogates behind escapes included, nothing crashes."""
    assert hits(text, kind, patterns=("zzz[0-9]{9}",), words=("zzzzzzzz",)) is False
    assert ("text", text) in shallow_views(Text((), kind, text))[0]


def test_patterns_are_found_anywhere_and_bind_to_case_as_written() -> None:
    """A pattern is searched for, not matched from the start."""
    assert hits("x BEGIN KEY y", patterns=("BEGIN KEY",))
    assert not hits("x begin key y", patterns=("BEGIN KEY",))
    assert hits("x begin key y", patterns=("(?i)BEGIN KEY",))


def test_the_worst_rule_speaks_first() -> None:
    """Blocking rules come before those that ask, and those before flags; equals keep the policy's order."""
    rules = [
        rule("flags", action="flag", words=("x",)),
        rule("asks", action="approve", approval="a", words=("x",)),
        rule("blocks", words=("x",)),
        rule("blocks-too", words=("x",)),
        rule("silent", words=("y",)),
    ]
    verdicts = judge(compile_rules(policy(*rules), "c", "request"), [Text((), Kind.TEXT, "x")])
    assert [verdict.rule.name for verdict in verdicts] == ["blocks", "blocks-too", "asks", "flags"]
    assert verdicts[0].facts() == {"rule": "blocks", "action": "block", "observed": False}


def test_rules_hold_on_their_connections_and_in_their_direction() -> None:
    """A rule without connections holds on all; ``both`` is either direction."""
    rules = [
        rule("in", words=("x",)),
        rule("out", on="response", words=("x",)),
        rule("both", on="both", words=("x",)),
        rule("elsewhere", on="both", connections=("d",), words=("x",)),
    ]
    names = {
        direction: [compiled.rule.name for compiled in compile_rules(policy(*rules), "c", direction)]
        for direction in ("request", "response")
    }
    assert names == {"request": ["in", "both"], "response": ["out", "both"]}


@pytest.mark.parametrize(
    ("gateway", "own", "observed"),
    [("observe", "enforce", True), ("enforce", "observe", True), ("enforce", "enforce", False)],
)
def test_an_observed_rule_still_matches_and_says_that_it_is_observed(gateway: str, own: str, observed: bool) -> None:
    """Either the whole policy or one rule can be tried out."""
    [compiled] = compile_rules(policy(rule(words=("x",), mode=own), mode=gateway), "c", "request")
    [verdict] = judge([compiled], [Text((), Kind.TEXT, "x")])
    assert verdict.observed is observed


@pytest.mark.parametrize(
    ("subject", "groups", "applies"),
    [
        ("bob", {"staff"}, True),
        ("ada", {"staff"}, False),
        ("bob", {"legal", "staff"}, False),
        ("bob", set(), True),
        ("legal", set(), True),
        ("ADA", set(), True),
        ("", {""}, True),
    ],
)
def test_a_rule_does_not_apply_to_whom_unless_names(subject: str, groups: set[str], applies: bool) -> None:
    """By exact subject or group, and nothing that resembles one."""
    compiled = CompiledRule.of(
        rule(words=("x",), unless=Unless(groups=("legal",), subjects=("ada",))), observe_all=False
    )
    assert bool(concerning([compiled], subject, frozenset(groups))) is applies


def test_no_rules_and_no_texts_give_no_verdict() -> None:
    """Nothing to judge is not a match."""
    assert judge([], [Text((), Kind.TEXT, "x")]) == ()
    assert judge([CompiledRule.of(rule(words=("x",)), observe_all=False)], []) == ()


HOSTILE = {
    "marks out of order": "a" + "\u0301\u0316" * 300_000,
    "a word at every place": "ab" * 1_000_000,
    "nearly a match": "a" * 2_000_000,
    "escapes": "\\u0061" * 300_000,
    "deep": "[" * 1_000_000,
    "invisible": "\u200b" * 1_000_000,
    "quotes": '"' * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_take_linear_time(text: str) -> None:
    """What would take minutes in quadratic time is done well before pytest's own limit."""
    assert not hits(text, Kind.JSON_TEXT, words=("abab", "aaaa"), patterns=("(a|aa)+$x", "(?:[a-z]+)*!!"))


def test_a_great_many_words_fit_into_a_rule() -> None:
    """A list of words that one pattern could not hold is cut up."""
    words = tuple(f"w{number:x}" + "é" * 50 for number in range(5000))
    assert hits(f"the {words[4321]}!", words=words)
    assert not hits("the weather", words=words)
