"""The guardrail among the others: requests, whole answers, streams."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from hoopguard.exchange import Exchange, Refused
from hoopguard.guardrail.addon import Guardrail
from hoopguard.identity.principal import Principal
from hoopguard.payload.channels import Channel, Stage, StopStream
from hoopguard.payload.fields import read
from hoopguard.payload.formats import format_of
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.tables import Kind
from hoopguard.policy import load_policy

POLICY = """
version = 1
gateway = { mode = "MODE" }
[[issuer]]
name = "staff"
url = "https://id.example.com"
audience = "hoopguard"
[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
allow = [{ groups = ["*"] }]
[[approval]]
name = "owners"
reviewers = ["owners"]
[[guardrail]]
name = "notes"
words = ["tropical"]
on = "both"
action = "flag"
[[guardrail]]
name = "asks"
words = ["payroll"]
action = "approve"
approval = "owners"
[[guardrail]]
name = "codenames"
words = ["tropical thunder"]
patterns = ["KEY-[0-9]{4}"]
on = "both"
action = "block"
message = "Not this."
unless = { groups = ["legal"] }
"""
CONTENT = Channel(("choices", 0, "delta", "content"), Kind.TEXT)
ARGUMENTS = Channel(("choices", 0, "delta", "tool_calls", 0, "function", "arguments"), Kind.JSON_TEXT)


def asked(folder: Path, text: str, *groups: str, mode: str = "enforce", rules: str = "") -> http.HTTPFlow:
    """Make a flow as it is when it comes to the guardrail."""
    (folder / "policy.toml").write_text(POLICY.replace("MODE", mode) + rules)
    flow = tflow.tflow()
    exchange = Exchange.begin(flow)
    exchange.policy = load_policy(folder / "policy.toml")
    exchange.connection = exchange.policy.policy.connections[0]
    exchange.format = format_of("chat/completions")
    exchange.principal = Principal("ada", "staff", "person", frozenset(groups), "", 0.0)
    exchange.body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    exchange.answer = {"choices": [{"index": 0, "message": {"content": text}}]}
    return flow


def judge(station: Guardrail, flow: http.HTTPFlow, phase: str = "request") -> None:
    """Have a body judged, which was read before."""
    exchange = Exchange.of(flow)
    body, fields = exchange.body, exchange.format.request
    if phase == "response":
        body, fields = exchange.answer, exchange.format.answer
    exchange.reading = read(body, fields)
    asyncio.run(getattr(station, phase)(flow))


def verdicts(flow: http.HTTPFlow) -> list[tuple[str, bool]]:
    return [(each["rule"], each["observed"]) for each in Exchange.of(flow).facts["verdicts"]]


@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_text_that_no_rule_names_passes(tmp_path: Path, phase: str) -> None:
    """And nothing is noted."""
    flow = asked(tmp_path, "hello")
    judge(Guardrail(), flow, phase)
    assert verdicts(flow) == []


@pytest.mark.parametrize("phase", ["request", "response"])
@pytest.mark.parametrize("text", ["Tropical Thunder", "my KEY-1234", "tro\u00adpical thunder"])
def test_a_forbidden_text_is_refused_with_the_rules_own_message(tmp_path: Path, phase: str, text: str) -> None:
    """In requests and in answers; the text itself is in neither refusal nor record."""
    flow = asked(tmp_path, text)
    with pytest.raises(Refused) as caught:
        judge(Guardrail(), flow, phase)
    refused = caught.value
    assert (refused.status, refused.code, refused.message) == (403, "hoopguard_blocked", "Not this.")
    assert (refused.outcome, refused.more) == ("blocked", {"rule": "codenames"})
    assert verdicts(flow) == [("codenames", False)]
    assert text not in str(Exchange.of(flow).facts)


def test_what_asks_for_approval_or_is_flagged_is_noted_and_passes(tmp_path: Path) -> None:
    """The approval station reads the verdict; a flag is for the record."""
    flow = asked(tmp_path, "tropical payroll")
    judge(Guardrail(), flow)
    assert verdicts(flow) == [("asks", False), ("notes", False)]


@pytest.mark.parametrize("phase", ["request", "response"])
def test_an_observing_policy_notes_and_refuses_nothing(tmp_path: Path, phase: str) -> None:
    """``mode = "observe"`` shows what would have been."""
    flow = asked(tmp_path, "KEY-1234", mode="observe")
    judge(Guardrail(), flow, phase)
    assert verdicts(flow) == [("codenames", True)]


def test_whom_unless_names_may_say_it(tmp_path: Path) -> None:
    """Others in the same gateway may not."""
    station = Guardrail()
    judge(station, asked(tmp_path, "KEY-1234", "legal"))
    with pytest.raises(Refused):
        judge(station, asked(tmp_path, "KEY-1234", "staff"))


def test_a_request_without_body_passes(tmp_path: Path) -> None:
    """The list of models asks nothing."""
    flow = asked(tmp_path, "x")
    Exchange.of(flow).body = None
    judge(Guardrail(), flow)
    assert verdicts(flow) == []


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "KEY-1234"}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"KEY-1234": {}}}}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "KEY-1234", "schema": {}}}},
        {"metadata": {"KEY-1234": "x"}},
    ],
)
def test_names_and_keys_are_judged_too(tmp_path: Path, more: dict[str, Any]) -> None:
    """Chat templates put tools and schemas into the prompt."""
    flow = asked(tmp_path, "hello")
    Exchange.of(flow).body.update(more)
    with pytest.raises(Refused):
        judge(Guardrail(), flow)


def test_the_formats_own_words_are_not_judged(tmp_path: Path) -> None:
    """A rule about a word that the API uses as a key does not refuse everything."""
    flow = asked(tmp_path, "hello")
    exchange = Exchange.of(flow)
    assert not read(exchange.body, exchange.format.request).names


def test_a_match_across_a_long_piece_of_a_stream_is_seen(tmp_path: Path) -> None:
    """What came just before a piece that is longer than the window still counts."""
    watch = watching(asked(tmp_path, "x"))
    watch.feed(CONTENT, "the code is KE")
    with pytest.raises(StopStream):
        watch.feed(CONTENT, "Y-1234 " + "x" * 6000)


def watching(flow: http.HTTPFlow) -> Stage:
    Exchange.of(flow).facts["streamed"] = True
    Guardrail().responseheaders(flow)
    [stage] = Exchange.of(flow).stages
    watch: Any = stage
    return watch  # type: ignore[no-any-return]


def say(watch: Stage, channel: Channel, *pieces: str) -> str:
    return "".join(watch.feed(channel, piece) for piece in pieces)


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        (CONTENT, "so: KEY-1234, see"),
        (CONTENT, "so: KEY-12\u200b34, see"),
        (CONTENT, "the Tropical Thunder plan"),
        (ARGUMENTS, '{"q": "KEY-1234"}'),
        (ARGUMENTS, '{"q": "\\u004bEY-\\u00312\\u200b34"}'),
        (ARGUMENTS, '{"\\u004bEY-1234": 1}'),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_forbidden_word_stops_a_stream_however_it_is_cut(
    tmp_path: Path, channel: Channel, text: str, size: int
) -> None:
    """The piece that completes it is not let out, and the outcome is settled there; escapes do not hide it."""
    flow = asked(tmp_path, "x")
    watch = watching(flow)
    with pytest.raises(StopStream) as stopped:
        say(watch, channel, *(text[at : at + size] for at in range(0, len(text), size)))
    assert stopped.value.final["code"] == "hoopguard_blocked"
    assert Exchange.of(flow).facts["outcome"] == "blocked"
    assert ("codenames", False) in verdicts(flow)


def test_channels_do_not_lend_each_other_their_words(tmp_path: Path) -> None:
    """Two choices that say half each say nothing forbidden; a channel that ended begins anew."""
    watch = watching(asked(tmp_path, "x"))
    other = Channel(("choices", 1, "delta", "content"), Kind.TEXT)
    assert watch.feed(CONTENT, "so KEY-12") == "so "
    assert watch.feed(other, "34! ") == "34! "
    assert watch.finish(CONTENT) == "KEY-12"
    assert watch.feed(CONTENT, "34! ") == "34! "


def test_a_flag_in_a_stream_is_noted_once_and_lets_it_pass(tmp_path: Path) -> None:
    """However many pieces follow."""
    flow = asked(tmp_path, "x")
    watch = watching(flow)
    shown = say(watch, CONTENT, "a tropical", " isle", " tropical") + watch.finish(CONTENT)
    assert shown == "a tropical isle tropical"
    assert verdicts(flow) == [("notes", False)]


def test_what_ends_a_stream_may_be_its_last_word(tmp_path: Path) -> None:
    """A word that could have gone on is judged where its text ends, before it is out."""
    watch = watching(asked(tmp_path, "x"))
    assert watch.feed(CONTENT, "the tropical thunder") == "the "
    with pytest.raises(StopStream):
        watch.finish(CONTENT)


def test_a_channel_that_said_nothing_ends_with_nothing(tmp_path: Path) -> None:
    """As a choice without text does."""
    assert watching(asked(tmp_path, "x")).finish(CONTENT) == ""


def test_a_whole_answer_needs_nobody_in_the_stream(tmp_path: Path) -> None:
    """Nor does a caller whom no rule concerns."""
    flow = asked(tmp_path, "x")
    Guardrail().responseheaders(flow)
    assert Exchange.of(flow).stages == []


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
SEES = """
[[guardrail]]
name = "pictures"
unreadable = ["image"]
action = "ACTION"
"""


@pytest.mark.parametrize("content", [IMAGE, [{"type": "file", "file": {"file_id": "f"}}]])
def test_what_nobody_can_look_into_is_refused(tmp_path: Path, content: Any) -> None:
    """As long as no rule names its kind."""
    flow = asked(tmp_path, "x")
    Exchange.of(flow).body["messages"][0]["content"] = content
    with pytest.raises(Refused) as refused:
        judge(Guardrail(), flow)
    assert (refused.value.status, refused.value.code) == (400, "hoopguard_uninspectable")
    assert Exchange.of(flow).unseen == frozenset()


@pytest.mark.parametrize(("action", "code"), [("flag", None), ("block", "hoopguard_blocked")])
def test_a_rule_says_what_happens_to_what_nobody_can_look_into(tmp_path: Path, action: str, code: str | None) -> None:
    """A flagged image passes and is noted; a blocked one is answered with the rule's own message."""
    flow = asked(tmp_path, "x", rules=SEES.replace("ACTION", action))
    Exchange.of(flow).body["messages"][0]["content"] = IMAGE
    if code is None:
        judge(Guardrail(), flow)
        assert Exchange.of(flow).unseen == {"image"}
    else:
        with pytest.raises(Refused) as refused:
            judge(Guardrail(), flow)
        assert refused.value.code == code
    assert verdicts(flow) == [("pictures", False)]


def test_what_a_rule_blocks_does_not_pass_because_another_allows_it(tmp_path: Path) -> None:
    """Not even where nothing but the kinds is known yet, as at a stream's beginning."""
    both = SEES.replace("ACTION", "flag") + SEES.replace("pictures", "no-pictures").replace("ACTION", "block")
    flow = asked(tmp_path, "x", rules=both.replace("unreadable", 'on = "response"\nunreadable'))
    Exchange.of(flow).facts["streamed"] = True
    Guardrail().responseheaders(flow)
    assert Exchange.of(flow).unseen == frozenset()


@pytest.mark.parametrize(
    "event", [{"KEY-1234": "x"}, {"choices": [{"delta": {"tool_calls": [{"function": {"name": "KEY-1234"}}]}}]}]
)
def test_a_name_in_a_stream_is_judged(tmp_path: Path, event: dict[str, Any]) -> None:
    """Keys and tools' names speak as well as texts do."""
    flow = asked(tmp_path, "x")
    exchange = Exchange.of(flow)
    exchange.facts["streamed"] = True
    Guardrail().responseheaders(flow)
    assert exchange.format.stream is not None
    stream = AnswerStream(exchange.format.stream, exchange.stages, drop_repeats=False)
    assert b"KEY-" not in stream.feed(b"data: %b\n\n" % json.dumps(event).encode()) + stream.finish()
    assert exchange.facts["outcome"] == "blocked"


def test_a_rule_for_images_lets_no_file_pass(tmp_path: Path) -> None:
    """Each kind has to be named."""
    flow = asked(tmp_path, "x", rules=SEES.replace("ACTION", "flag"))
    Exchange.of(flow).body["messages"][0]["content"] = [*IMAGE, {"type": "file", "file": {"file_id": "f"}}]
    with pytest.raises(Refused, match="a file"):
        judge(Guardrail(), flow)
