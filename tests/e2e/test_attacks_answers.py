"""What a server once got past the inspection of answers, or into the record, held at a real gateway."""

import json
from typing import Any

import pytest
from harness import events_of
from oddities import EMAIL, PLACEHOLDER, TALKS
from scripted import ScriptedSite

TOKENS = ("The ", "Project", " ", "Blue", "bird")
NOBODYS = "said.by.no.caller@example.net"
"""What nobody sent is put back for nobody."""

ASKED: dict[str, Any] = {"model": "llama", "messages": []}


def test_log_probabilities_do_not_say_what_a_rule_holds_back(scripted: ScriptedSite) -> None:
    """Where no rule masks, too: they are taken out once a rule may block."""
    scripted.server.stream(
        [
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": token},
                        "logprobs": {"content": [{"token": token, "logprob": -1}]},
                    }
                ]
            }
            for token in TOKENS
        ]
    )
    answer = scripted.post("/guarded-openai/v1/chat/completions", {**ASKED, "stream": True, "logprobs": True})
    events = events_of(answer.text)
    assert events[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert "The " in answer.text
    assert not {"Project", "Blue", "bird"} & {*answer.text.replace('"', " ").split()}
    scripted.wait_until_settled()
    outcome = scripted.outcome(answer.headers["hoopguard-exchange"])
    assert outcome["outcome"] == "blocked"


def test_what_says_a_text_again_in_a_whole_answer_is_taken_out(scripted: ScriptedSite) -> None:
    """Nobody judges it, so nobody gets it."""
    tool = {"name": "x", "inputSchema": {}, "icons": [{"src": "Project Bluebird"}]}
    scripted.server.answer({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}})
    answer = scripted.post("/guarded-mcp/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert answer.json()["result"]["tools"] == [{**tool, "icons": None}]


def test_a_text_split_over_two_spellings_of_an_index_stays_hidden(scripted: ScriptedSite) -> None:
    """1 and 1.0 are one number to JSON (RFC 8259 §6), and to JavaScript."""
    parts = [(1, "mail ann.lovel"), (1.0, "ace@exam"), (1, "ple.org now")]
    scripted.server.stream([{"choices": [{"index": index, "delta": {"content": said}}]} for index, said in parts])
    answer = scripted.post("/openai/v1/chat/completions", {**ASKED, "stream": True})
    said: dict[float, str] = {}
    for event in events_of(answer.text):
        for choice in event.get("choices", []):
            index = float(choice["index"])
            said[index] = said.get(index, "") + choice["delta"].get("content", "")
    assert "ann.lovelace@example.org" not in "".join(said.values())


def test_values_that_were_put_back_do_not_come_into_the_record(scripted: ScriptedSite) -> None:
    """KServe's answers repeat the request's id: masked on its way, put back for the caller, hidden in the record."""
    talk = TALKS["v2/generate_stream"]
    held = {"id": PLACEHOLDER, "model_name": "m", "text_output": "write to ann.lovelace"}
    scripted.server.stream([held, {"id": PLACEHOLDER, "model_name": "m", "text_output": ""}])
    answer = scripted.post(f"/kserve{talk.path}", talk.asked)
    assert PLACEHOLDER in scripted.sent
    assert [event["id"] for event in events_of(answer.text)][:2] == [EMAIL] * 2
    scripted.assert_kept_nothing_of()


@pytest.mark.parametrize("marks", [",", "[", "{"])
def test_an_event_of_many_values_ends_the_stream(scripted: ScriptedSite, marks: str) -> None:
    """Each would be looked at while everybody waits; those that stand in a text are none."""
    scripted.server.stream([{"choices": [{"index": 0, "delta": {"content": marks * 9_000}}]}])
    whole = scripted.post("/openai/v1/chat/completions", {**ASKED, "stream": True})
    assert "hoopguard_stream_failed" not in whole.text
    assert marks * 8_000 in whole.text
    scripted.server.stream([{"choices": [{"index": 0, "delta": {"content": "never"}}], "x": [[1]] * 9_000}])
    ended = scripted.post("/openai/v1/chat/completions", {**ASKED, "stream": True})
    assert events_of(ended.text)[-1]["error"]["code"] == "hoopguard_stream_failed"
    assert "never" not in ended.text


@pytest.mark.parametrize("ended", [True, False])
def test_a_long_event_is_masked_to_its_end(scripted: ScriptedSite, ended: bool) -> None:
    """It is inspected aside, also where the model closes the stream in the middle of it."""
    said = " ".join(f"The {number}th word to anybody but {NOBODYS} is nothing." for number in range(500))
    delta = {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]}
    stream = b"data: " + json.dumps(delta).encode() + (b"\n\ndata: [DONE]\n\n" if ended else b"")
    scripted.server.answer_with(stream[:7_000], stream[7_000:], b"", media="text/event-stream")
    answer = scripted.post("/openai/v1/chat/completions", {**ASKED, "stream": True})
    text = "".join(event["choices"][0]["delta"]["content"] for event in events_of(answer.text))
    assert text.endswith(" is nothing.")
    assert (text.count(NOBODYS), text.count("The 499th word")) == (0, 1)
    scripted.wait_until_settled()
    assert scripted.outcome(answer.headers["hoopguard-exchange"])["outcome"] == "allowed"
    scripted.assert_kept_nothing_of(NOBODYS)


def test_a_long_event_that_takes_too_long_ends_the_stream(scripted: ScriptedSite) -> None:
    """Nothing of it is let out, and there is one outcome."""
    delta = {"choices": [{"index": 0, "delta": {"content": "4111 1111 1111 1112 " * 30_000}, "finish_reason": None}]}
    scripted.server.stream([delta, delta, delta])
    answer = scripted.post("/openai/v1/chat/completions", {**ASKED, "stream": True})
    assert answer.status_code == 200
    assert "hoopguard_stream_failed" in answer.text
    assert "4111" not in answer.text
    scripted.wait_until_settled()
    assert scripted.outcome(answer.headers["hoopguard-exchange"])["outcome"] == "failed"
