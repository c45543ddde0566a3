"""The demo's model server, asked over real sockets with httpx and the openai SDK."""

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from hoopguard.demo.answers import CUSTOMER, CUSTOMER_CARD, CUSTOMER_EMAIL, CUSTOMER_PHONE, tokens
from hoopguard.demo.misbehaviour import MODES
from hoopguard.demo.model import DEFAULT_KEY, DemoModel

CHAT = "/v1/chat/completions"
KEY = {"authorization": f"Bearer {DEFAULT_KEY}"}


@pytest.fixture(scope="module")
def running() -> Iterator[DemoModel]:
    with DemoModel() as model:
        yield model


@pytest.fixture
def model(running: DemoModel) -> DemoModel:
    running.forget()
    return running


@pytest.fixture
def sdk(model: DemoModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{model.url}/v1", api_key=DEFAULT_KEY, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def http(model: DemoModel) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=model.url, headers=KEY, timeout=10) as client:
        yield client


def chat(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "llama-3-8b", "messages": [{"role": "user", "content": prompt}], **more}


def deltas(client: httpx.Client, prompt: str, **more: Any) -> list[dict[str, Any]]:
    """Return the choices of a stream, in the order in which they came."""
    answer = client.post(CHAT, json=chat(prompt, stream=True, **more))
    assert answer.headers["content-type"] == "text/event-stream"
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [choice for event in events[:-1] for choice in json.loads(event)["choices"]]


def test_it_answers_about_the_prompt(sdk: openai.OpenAI) -> None:
    """The answer echoes the last user message, the same each time, with usage."""
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]
    answers = [sdk.chat.completions.create(model="llama-3-8b", messages=messages) for _ in range(2)]
    assert "hello there" in str(answers[0].choices[0].message.content)
    assert answers[0].id == answers[1].id
    assert answers[0].usage is not None
    assert answers[0].usage.total_tokens > 0


def test_parts_of_a_message_are_read_too(http: httpx.Client) -> None:
    """Content as a list of parts is the text of these parts."""
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "two"}]
    message = http.post(CHAT, json={"messages": [{"role": "user", "content": parts}]}).json()["choices"][0]["message"]
    assert '"one  two"' in message["content"]


def test_a_stream_is_the_whole_answer_in_pieces(sdk: openai.OpenAI) -> None:
    """Streamed tokens joined are the buffered answer, and usage comes last when asked for."""
    asked: Any = [{"role": "user", "content": "who is the customer?"}]
    stream = sdk.chat.completions.create(
        model="llama-3-8b", messages=asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == CUSTOMER
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


@pytest.mark.parametrize("secret", [CUSTOMER_EMAIL, CUSTOMER_PHONE, CUSTOMER_CARD])
def test_personal_data_is_split_over_tokens(secret: str) -> None:
    """No single token holds an e-mail, a phone number or a card, so a masker has to join them."""
    assert secret in CUSTOMER
    assert "".join(tokens(CUSTOMER)) == CUSTOMER
    assert not any(secret in token for token in tokens(CUSTOMER))


def test_choices_take_turns(http: httpx.Client) -> None:
    """With n > 1 the choices of a stream are interleaved, and each is whole."""
    choices = deltas(http, "say: alpha beta", n=3)
    assert [choice["index"] for choice in choices[:6]] == [0, 1, 2, 0, 1, 2]
    for index in range(3):
        said = "".join(choice["delta"].get("content", "") for choice in choices if choice["index"] == index)
        assert said == "alpha beta"


def test_tool_calls_stream_their_arguments(http: httpx.Client) -> None:
    """Asked to use the tool, the model calls the first one offered; its arguments come in pieces of JSON."""
    tools = [{"type": "function", "function": {"name": "find_person"}}]
    choices = deltas(http, "use the tool", tools=tools)
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    arguments = json.loads("".join(call["function"]["arguments"] for call in calls))
    assert calls[0]["function"]["name"] == "find_person"
    assert arguments["contact"]["email"] == CUSTOMER_EMAIL
    assert choices[-1]["finish_reason"] == "tool_calls"
    whole = http.post(CHAT, json=chat("use the tool")).json()["choices"][0]["message"]["tool_calls"][0]
    assert whole["function"]["name"] == "lookup_customer"


@pytest.mark.parametrize(("prompt", "field"), [("think hard", "reasoning_content"), ("please refuse", "refusal")])
def test_reasoning_and_refusals(http: httpx.Client, prompt: str, field: str) -> None:
    """Reasoning and refusals come in fields of their own, streamed as they are buffered."""
    whole = http.post(CHAT, json=chat(prompt)).json()["choices"][0]["message"][field]
    assert whole
    assert "".join(choice["delta"].get(field, "") for choice in deltas(http, prompt)) == whole


def test_reasoning_effort_gives_reasoning(http: httpx.Client) -> None:
    """The parameter asks for reasoning as the word does; "none" does not."""
    messages = [http.post(CHAT, json=chat("hi", reasoning_effort=e)).json()["choices"][0] for e in ("low", "none")]
    assert ["reasoning_content" in choice["message"] for choice in messages] == [True, False]


def test_logprobs_repeat_the_tokens(http: httpx.Client) -> None:
    """Logprobs hold the whole text again: a leak that masking has to know of."""
    choice = http.post(CHAT, json=chat("say: a b c", logprobs=True)).json()["choices"][0]
    assert "".join(entry["token"] for entry in choice["logprobs"]["content"]) == "a b c"


def test_completions(sdk: openai.OpenAI) -> None:
    """Completions answer each prompt, echo it if asked, and stream the same text."""
    two = sdk.completions.create(model="llama-3-8b", prompt=["say: x", "say: y"])
    assert [choice.text for choice in two.choices] == ["x", "y"]
    echoed = sdk.completions.create(model="llama-3-8b", prompt="say: long word", echo=True, logprobs=1)
    assert echoed.choices[0].text == "say: long wordlong word"
    stream = sdk.completions.create(
        model="m", prompt="say: long word", stream=True, echo=True, logprobs=1, stream_options={"include_usage": True}
    )
    assert "".join(choice.text for chunk in stream for choice in chunk.choices) == "say: long wordlong word"


def test_other_routes(http: httpx.Client, sdk: openai.OpenAI, model: DemoModel) -> None:
    """There is a plain JSON route, a list of models, and admin routes that a gateway must not let through."""
    assert [listed.id for listed in sdk.models.list()] == list(model.models)
    assert http.post("/v1/embeddings", json={"input": ["a", "b"]}).json()["data"][1]["text"] == "b"
    assert http.post("/v1/embeddings", json={"input": "a"}).status_code == 200
    assert "added" in http.post("/v1/load_lora_adapter", json={"lora_name": "evil"}).text
    assert "secret_metric" in http.get("/metrics").text
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize(("content", "status"), [(b"{", 400), (b"[]", 400), (b"{}", 200)])
def test_bodies_are_checked(http: httpx.Client, content: bytes, status: int) -> None:
    """What is not a JSON object is a 400."""
    assert http.post(CHAT, content=content).status_code == status
    assert http.post("/v1/nowhere").status_code == 404


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {DEFAULT_KEY}"}])
def test_it_wants_its_own_key(model: DemoModel, headers: dict[str, str]) -> None:
    """A request without the model's key is refused, and remembered nevertheless."""
    assert httpx.post(model.url + CHAT, json=chat("hi"), headers=headers).status_code == 401
    assert len(model.seen) == 1


def test_it_remembers_what_reached_it(http: httpx.Client, model: DemoModel) -> None:
    """Every request is readable as it arrived, and can be forgotten; the controls are not among them."""
    http.post(f"{CHAT}?a=b", content=b'{"x": "\xff"}', headers={"x-caller": "me"})
    [seen] = http.get("/_seen").json()
    assert (seen["method"], seen["path"], seen["query"], seen["outcome"]) == ("POST", CHAT, "a=b", "finished")
    assert ["x-caller", "me"] in seen["headers"]
    assert seen["body"] == '{"x": "\\xff"}'
    assert model.seen[0].body == b'{"x": "\xff"}'
    http.delete("/_seen")
    assert http.get("/_seen").json() == []


def test_a_hang_up_is_noticed(http: httpx.Client, model: DemoModel) -> None:
    """A client that leaves in mid-stream ends the work on its answer."""
    model.behave("hang_mid_stream", after=2)
    with http.stream("POST", CHAT, json=chat("count to 50", stream=True)) as answer:
        next(answer.iter_lines())
    waited = threading.Event()
    while model.seen[0].outcome == "pending":
        waited.wait(0.01)
    assert model.seen[0].outcome == "hung_up"


def test_tokens_come_while_the_model_still_talks() -> None:
    """The first token is there before the model is done with the last."""
    with DemoModel(token_delay_s=0.005) as slow, httpx.Client(base_url=slow.url, headers=KEY) as client:
        with client.stream("POST", CHAT, json=chat("count to 40", stream=True)) as answer:
            lines = answer.iter_lines()
            next(lines)
            assert slow.seen[0].outcome == "pending"
            assert list(lines)[-2] == "data: [DONE]"
        assert client.get("/_seen").json()[0]["outcome"] == "finished"


def answer_of(http: httpx.Client, mode: str, *, stream: bool, **parameters: Any) -> httpx.Response | str:
    """Return the answer that a behaviour gives, or the name of httpx's error."""
    assert http.post("/_behave", json={"mode": mode, **parameters}).json() == {"queued": 1}
    try:
        return http.post(CHAT, json=chat("say: one two three", stream=stream), timeout=0.5)
    except httpx.HTTPError as error:
        return type(error).__name__


@pytest.mark.parametrize("mode", ["hang", "hang_mid_stream"])
@pytest.mark.parametrize("stream", [True, False])
def test_behaviours_that_never_end(http: httpx.Client, mode: str, stream: bool) -> None:
    """A hanging model says nothing more, and the connection stays open."""
    assert answer_of(http, mode, stream=stream) == "ReadTimeout"


@pytest.mark.parametrize("mode", ["die", "die_mid_stream", "garbage_http", "two_lengths", "upgrade"])
@pytest.mark.parametrize("stream", [True, False])
def test_behaviours_that_break_http(http: httpx.Client, mode: str, stream: bool) -> None:
    """A model that dies or does not speak HTTP is a protocol error to its client."""
    assert answer_of(http, mode, stream=stream) == "RemoteProtocolError"


BAD_JSON = ["garbage", "truncated_json", "trailing", "invalid_utf8", "dup_keys", "nan", "deep", "huge", "not_an_object"]


def strict(text: bytes) -> Any:
    """Parse JSON as strictly as a gateway should."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    value = json.loads(text.decode(), parse_constant=refuse, object_pairs_hook=unique)
    if not isinstance(value, dict) or len(text) > 1_000_000:
        raise ValueError("not an object, or too large")
    return value


@pytest.mark.parametrize("mode", BAD_JSON)
@pytest.mark.parametrize("stream", [True, False])
def test_behaviours_that_break_json(http: httpx.Client, mode: str, stream: bool) -> None:
    """A body, or the event after the honest ones, is JSON that a strict reader refuses."""
    answer = answer_of(http, mode, stream=stream, after=2)
    assert isinstance(answer, httpx.Response)
    bodies = [line[6:] for line in answer.content.split(b"\n") if line[:7] == b"data: {"] if stream else []
    for honest in bodies[:2]:
        strict(honest)
    spoilt = answer.content.split(b"\n\n")[2][6:] if stream else answer.content
    with pytest.raises((ValueError, RecursionError)):
        strict(spoilt)


def test_behaviours_of_coding_and_type(http: httpx.Client) -> None:
    """Compressed, mistyped and failing answers say so in their headers."""
    for stream in (True, False):
        plain = answer_of(http, "normal", stream=stream)
        packed = answer_of(http, "encoded_gzip", stream=stream)
        assert isinstance(plain, httpx.Response)
        assert isinstance(packed, httpx.Response)
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text == plain.text
        unknown = answer_of(http, "unknown_encoding", stream=stream)
        assert isinstance(unknown, httpx.Response)
        assert unknown.headers["content-encoding"] == "snappy"
        wrong = answer_of(http, "wrong_type", stream=stream)
        assert isinstance(wrong, httpx.Response)
        assert (wrong.headers["content-type"], wrong.text) == ("text/html", plain.text)
        trailed = answer_of(http, "trailers", stream=stream)
        assert isinstance(trailed, httpx.Response)
        assert (trailed.headers["transfer-encoding"], trailed.text) == ("chunked", plain.text)


@pytest.mark.parametrize(("mode", "status"), [("status", 418), ("status_500", 500), ("redirect", 302)])
def test_behaviours_of_status(http: httpx.Client, mode: str, status: int) -> None:
    """Error and redirect answers have the status asked for."""
    answer = answer_of(http, mode, stream=False, **({"status": 418} if mode == "status" else {}))
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == status


def undated(text: str) -> str:
    """Return a stream without the second in which it began."""
    return re.sub(r'"created":\d+', '"created":0', text)


def test_behaviours_of_streams(http: httpx.Client) -> None:
    """A stream can come byte by byte, with CRLF and comments, without its end, slowly, or end in an error."""
    shown = {mode: answer_of(http, mode, stream=True, delay_s=0.001) for mode in ("split_bytes", "slow", "normal")}
    texts = {undated(answer.text) for answer in shown.values() if isinstance(answer, httpx.Response)}
    assert len(texts) == 1
    crlf = answer_of(http, "crlf", stream=True)
    ended = answer_of(http, "no_done", stream=True)
    failed = answer_of(http, "error_event", stream=True)
    assert isinstance(crlf, httpx.Response)
    assert isinstance(ended, httpx.Response)
    assert isinstance(failed, httpx.Response)
    assert undated(crlf.text.replace(": a comment\r\n", "").replace("\r\n", "\n")) in texts
    assert "[DONE]" not in ended.text
    assert json.loads(failed.text.strip().split("\n")[-1][6:])["error"]["type"] == "server_error"


def test_a_gzip_bomb_is_small_on_the_wire(http: httpx.Client) -> None:
    """What unpacks to megabytes travels as kilobytes."""
    http.post("/_behave", json={"mode": "gzip_bomb", "size_bytes": 50_000_000})
    with http.stream("POST", CHAT, json=chat("hi")) as answer:
        packed = sum(len(chunk) for chunk in answer.iter_raw())
    assert packed < 100_000
    assert answer.headers["content-encoding"] == "gzip"


def test_behaviours_are_used_up(http: httpx.Client) -> None:
    """A behaviour lasts as many requests as it says, then the model is honest again."""
    http.post("/_behave", json={"mode": "say", "text": "call +1 415-555-0132", "times": 2})
    said = [http.post(CHAT, json=chat("hi")).json()["choices"][0]["message"]["content"] for _ in range(3)]
    assert said[:2] == ["call +1 415-555-0132"] * 2
    assert '"hi"' in said[2]


@pytest.mark.parametrize("asked", [{"mode": "nix"}, {"mode": "say", "nix": 1}, []])
def test_an_unknown_behaviour_is_refused(http: httpx.Client, asked: Any) -> None:
    """A misspelt behaviour is a 400; it must not let a test pass by accident."""
    assert http.post("/_behave", json=asked).status_code == 400
    assert "die_mid_stream" in MODES


def test_bytes_that_are_no_request(model: DemoModel) -> None:
    """The server survives what is not HTTP, and answers HEAD and Expect as it should."""
    assert httpx.head(f"{model.url}/health", headers=KEY).status_code == 404
    long = httpx.post(model.url + CHAT, json=chat("x" * 10), headers={**KEY, "expect": "100-continue"})
    assert long.status_code == 200
    with socket.create_connection(("127.0.0.1", model.port)) as raw:
        raw.sendall(b"this is not HTTP\r\n\r\n")
        assert raw.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
    assert httpx.get(f"{model.url}/health", headers=KEY).status_code == 200


def test_the_process_speaks_tls(tmp_path: Path) -> None:
    """As a process it serves TLS with the certificate given, and ends on SIGTERM with 0."""
    cert, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "port"
    make = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *make, *names], check=True, capture_output=True)
    command = [sys.executable, "-m", "hoopguard.demo.model", "--port-file", str(port), "--api-key", "k"]
    command += ["--tls-cert", str(cert), "--tls-key", str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(cert))
        url = f"https://localhost:{port.read_text().strip()}/v1/models"
        assert httpx.get(url, headers={"authorization": "Bearer k"}, verify=trust).status_code == 200
        process.terminate()
        assert process.wait(10) == 0
