"""What a server once got past the inspection of answers, or into the record, held at a real gateway."""

from typing import Any

import pytest
from harness import events_of
from oddities import EMAIL, PLACEHOLDER, TALKS
from scripted import ScriptedSite

TOKENS = ("The ", "Project", " ", "Blue", "bird")
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
