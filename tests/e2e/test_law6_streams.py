"""Law 6: streaming stays streaming, and says what the masked whole would have said."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness import CHAT, Site, chat, events_of, streamed_text

TEXTS = [
    "Write to ada.lovelace@example.com now.",
    "4111 1111 1111 1111 and 4111111111111111, or 4111-1111-1111-1111; not 4111 1111 1111 1112.",
    "a@b.co,c@d.io;e@f.org and g@h",
    "Nothing to hide here, in twelve words or so, at all, really.",
    "ends with half an address: grace.hopper@exam",
    "ends with a whole one: grace.hopper@example.com",
    "Ünïcödé 😀 mail: jürgen.müller@example.de, 你好 ada@example.com 世界",
    "call +1 415-555-0132 or 415-555-0132, not 12345",
    "one two three four five six seven eight nine ten " * 20 + "ada@example.com",
    "x" * 3000 + "@example.com",
]


def check_equal(whole: str, streamed: str) -> None:
    assert streamed_text(streamed) == whole
    assert streamed.rstrip().endswith("data: [DONE]")
    reasons = [c["finish_reason"] for e in events_of(streamed) for c in e["choices"] if c.get("finish_reason")]
    assert reasons == ["stop"]


def said(site: Site, prompt: str) -> str:
    return str(site.ask(prompt).json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_streamed_is_what_masking_the_whole_gives(site: Site, text: str) -> None:
    """What the model says comes out of a stream as it comes out of the buffered answer."""
    site.model.behave("say", text=text, times=2)
    whole = said(site, "hello")
    check_equal(whole, site.ask("hello", stream=True).text)
    assert "lovelace@" not in whole
    assert "4111 1111 1111 1111" not in whole


@pytest.mark.parametrize("mode", ["split_bytes", "crlf"])
def test_the_way_a_stream_is_cut_does_not_matter(site: Site, mode: str) -> None:
    """Byte by byte, or with other line ends and comments, the caller reads the same."""
    whole = said(site, "who is the customer")
    assert whole.count("<EMAIL_ADDRESS>") == 1
    site.model.behave(mode)
    check_equal(whole, site.ask("who is the customer", stream=True).text)


@pytest.mark.parametrize("prompt", ["who is the customer, think", "please refuse", "use the tool for ada@example.com"])
def test_every_channel_of_a_stream_is_masked(site: Site, prompt: str) -> None:
    """Content, reasoning, refusals and tool arguments are masked, and tool arguments stay JSON."""
    streamed = site.ask(prompt, stream=True, n=1, logprobs=True)
    assert streamed.status_code == 200
    text = "".join(_strings([event["choices"] for event in events_of(streamed.text)]))
    assert "lovelace@" not in text
    assert "4111" not in text.replace(" ", "")
    arguments: dict[int, str] = {}
    for event in events_of(streamed.text):
        for choice in event["choices"]:
            assert choice.get("logprobs") is None
            for call in choice["delta"].get("tool_calls") or []:
                arguments[choice["index"]] = arguments.get(choice["index"], "") + call["function"]["arguments"]
    assert all(json.loads(each)["contact"]["email"] == "<EMAIL_ADDRESS>" for each in arguments.values())
    assert len(arguments) in (0, 1)


def _strings(node: Any) -> Iterator[str]:
    """Yield every string of a JSON value; one choice's pieces come in the order in which they were said."""
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _strings(child)


def test_completions_stream_too(site: Site) -> None:
    """The completions route is masked and streamed as well."""
    body = {"model": "llama-3-8b", "prompt": "say: to ada@example.com, and more", "stream": True}
    with site.client() as client:
        text = client.post("/v1/completions", json=body).text
    whole = "".join(choice["text"] for event in events_of(text) for choice in event["choices"])
    assert whole == "to <EMAIL_ADDRESS>, and more"


def test_tokens_arrive_while_the_model_is_still_talking(site: Site) -> None:
    """Masked tokens are with the caller while the model has not said its last: here it never does."""
    site.model.behave("hang_mid_stream", after=25)
    received = ""
    with site.client() as client:
        asked = chat("who is the customer", stream=True)
        with client.stream("POST", CHAT, json=asked) as response:
            for piece in response.iter_text():
                received += piece
                if "<EMAIL_ADDRESS>" in received:
                    break
    assert "<EMAIL_ADDRESS>" in received
    assert "lovelace@" not in received
    assert "[DONE]" not in received
    assert "error" not in received
    assert site.seen[0].outcome in ("pending", "hung_up")


def test_a_route_beside_chat_has_every_text_masked(site: Site) -> None:
    """Embeddings: every string is masked, in the request and in the answer, also in fields nobody has heard of."""
    body = {"model": "e", "input": ["ada@example.com", "x"], "extra": {"deep": [{"note": "to grace@example.com"}]}}
    with site.client() as client:
        answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    (seen,) = site.seen
    asked = json.loads(seen.body)
    assert asked["input"] == ["<EMAIL_ADDRESS>", "x"]
    assert asked["extra"] == {"deep": [{"note": "to <EMAIL_ADDRESS>"}]}
    assert answer.json()["data"][0]["text"] == "<EMAIL_ADDRESS>"
