"""The APIs that are asked without a library of their own: llama.cpp, Text Generation Inference, KServe."""

import json
from typing import Any, Final

import httpx
import pytest
from clientsite import ClientSite, Endpoint, without
from fake import Fake
from fake_kserve import FakeKServe
from fake_llamacpp import FakeLlamaCpp
from fake_tgi import FakeTGI
from speech import said

pytest_plugins = ["clientfixtures"]

COMPLETIONS: Final[dict[str, dict[str, Any]]] = {
    "plain": {"prompt": said("prompt"), "n_predict": 64},
    "stop words": {"prompt": said("prompt"), "stop": [said("stop")], "seed": 7, "cache_prompt": True},
    "probabilities": {"prompt": said("prompt"), "n_probs": 2},
    "token ids": {"prompt": said("prompt"), "return_tokens": True},
}
INFILL: Final = {
    "input_prefix": said("prefix"),
    "input_suffix": said("suffix"),
    "input_extra": [{"filename": "mail.txt", "text": said("extra")}],
    "prompt": said("prompt"),
}
INFER: Final = {
    "id": "q-17",
    "inputs": [{"name": "text_input", "shape": [1, 2], "datatype": "BYTES", "data": [said("first"), said("second")]}],
    "outputs": [{"name": "text_output"}],
}
KSERVE: Final = {"text_input": said("input"), "parameters": {"max_tokens": 64, "stop_words": [said("stop")]}}


def client(end: Endpoint) -> httpx.Client:
    return httpx.Client(base_url=end.url, headers={"authorization": f"Bearer {end.key}"}, trust_env=False, timeout=30)


def post(end: Endpoint, path: str, body: Any) -> Any:
    with client(end) as http:
        answer = http.post(path, json=body).raise_for_status()
        assert answer.headers["content-type"] == "application/json"
        return answer.json()


def stream(end: Endpoint, path: str, body: Any) -> list[Any]:
    """Return the events of a stream, each of which is one ``data`` line."""
    with client(end) as http, http.stream("POST", path, json=body) as answer:
        answer.raise_for_status()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line]


def no_probabilities(answer: Any) -> Any:
    """Probabilities and token ids would say the text again, so they are taken out."""
    return without(answer, "completion_probabilities", "tokens")


@pytest.mark.parametrize("body", COMPLETIONS.values(), ids=COMPLETIONS)
def test_a_llamacpp_completion(site: ClientSite, body: Any) -> None:
    """The text is masked, and so is the prompt that the answer says again; settings and timings are the server's."""
    site.compare("llamacpp", lambda end: post(end, "/completion", body), no_probabilities)


@pytest.mark.parametrize("body", COMPLETIONS.values(), ids=COMPLETIONS)
def test_a_llamacpp_stream(site: ClientSite, body: Any) -> None:
    """The pieces are masked; the one event that stops comes last, and it says the prompt masked."""

    def ask(end: Endpoint) -> Any:
        events = stream(end, "/completion", {**body, "stream": True})
        stops = [event["stop"] for event in events]
        return {
            "text": "".join(event["content"] for event in events),
            "last": events[-1],
            "stops": stops.index(True) + 1 == len(stops),
        }

    site.compare("llamacpp", ask, no_probabilities)


def test_a_llamacpp_infill(site: ClientSite) -> None:
    """What stands before, after and beside the gap is masked, and what fills it."""
    site.compare("llamacpp", lambda end: post(end, "/infill", INFILL), no_probabilities)


@pytest.mark.parametrize("details", [False, True])
def test_a_tgi_answer(site: ClientSite, details: bool) -> None:
    """The text is masked; the details that say it again token by token are taken out, their counts stay."""
    body = {"inputs": said("inputs"), "parameters": {"details": details, "stop": [said("stop")], "max_new_tokens": 64}}

    def ask(end: Endpoint) -> Any:
        return post(end, "/generate", body)

    site.compare("tgi", ask, lambda answer: without(answer, "prefill", "tokens"))


def test_a_tgi_stream(site: ClientSite) -> None:
    """The tokens' texts, joined, are the masked text, and so is the whole text in the last event."""
    body = {"inputs": said("inputs"), "parameters": {"max_new_tokens": 64}}

    def ask(end: Endpoint) -> Any:
        events = stream(end, "/generate_stream", body)
        last = {**events[-1], "token": None, "index": None}
        return {"text": "".join(event["token"]["text"] for event in events), "last": last}

    site.compare("tgi", ask)


def test_a_kserve_inference(site: ClientSite) -> None:
    """Tensors of text are masked, tensors of numbers are the model's."""
    site.compare("kserve", lambda end: post(end, "/v2/models/llama/infer", INFER))


def test_a_kserve_answer(site: ClientSite) -> None:
    """Triton's generate: a text in, a text out."""
    site.compare("kserve", lambda end: post(end, "/v2/models/llama/generate", KSERVE))


def test_a_kserve_stream(site: ClientSite) -> None:
    """Triton's stream: the texts of all events, joined, are the masked text."""

    def ask(end: Endpoint) -> Any:
        events = stream(end, "/v2/models/llama/generate_stream", KSERVE)
        names = {(event["model_name"], event["model_version"]) for event in events}
        return {"text": "".join(event["text_output"] for event in events), "names": [list(name) for name in names]}

    site.compare("kserve", ask)


REFUSED: Final[dict[str, tuple[type[Fake], str, Any]]] = {
    "llamacpp": (FakeLlamaCpp, "/completion", {"prompt": "a banana"}),
    "tgi": (FakeTGI, "/generate", {"inputs": "a banana"}),
    "kserve": (FakeKServe, "/v2/models/llama/generate", {"text_input": "a banana"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_in_the_apis_own_shape(site: ClientSite, name: str) -> None:
    """A blocked prompt is refused in the shape of the API's errors, with our code in it."""
    kind, path, body = REFUSED[name]
    with client(site.through(name)) as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 403
    own, error = kind().error("the reason"), answer.json()
    assert type(error["error"]) is type(own["error"])
    assert own.keys() <= error.keys()
    assert "hoopguard_blocked" in answer.text
    assert "Bananas must not be discussed." in answer.text
    assert site.models[name].seen == []
