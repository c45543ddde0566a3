"""What nobody can look into: the clients' own exception for images; recordings pass where a rule says so."""

from typing import Any, Final

import anthropic
import ollama
import openai
import pytest
from anthropic import Anthropic
from clientsite import ClientSite, Endpoint, told
from ollama import Client
from openai import OpenAI
from speech import said

pytest_plugins = ["clientfixtures"]

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
RECORDING: Final = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256))
ASKED: Final[dict[str, Any]] = {
    "model": "whisper",
    "file": ("call-of-ada.wav", RECORDING, "audio/wav"),
    "prompt": said("prompt"),
}


def openai_sdk(end: Endpoint) -> OpenAI:
    return OpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=openai.DefaultHttpxClient(trust_env=False))


def test_an_image_in_a_chat(site: ClientSite) -> None:
    """The openai package raises ``BadRequestError``, for chat completions and for Responses."""
    url = f"data:image/png;base64,{PIXEL}"
    chat: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    item: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": url, "detail": "auto"}]}]
    with openai_sdk(site.through("openai")) as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="llama-3-8b", messages=chat)
    assert refused.value.code == "hoopguard_uninspectable"
    with openai_sdk(site.through("responses")) as client, pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="llama-3-8b", input=item)
    assert refused.value.code == "hoopguard_uninspectable"
    assert site.models["openai"].seen == site.models["responses"].seen == []


def test_an_image_in_a_message(site: ClientSite) -> None:
    """The anthropic package raises ``BadRequestError``, also for an image in a tool's result."""
    end = site.through("anthropic")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with Anthropic(base_url=end.url, api_key=end.key, http_client=http) as client:
        for block in (image, result):
            messages: Any = [{"role": "user", "content": [block]}]
            with pytest.raises(anthropic.BadRequestError) as refused:
                client.messages.create(model="claude-local", max_tokens=64, messages=messages)
            body: Any = refused.value.body
            assert body["error"]["code"] == "hoopguard_uninspectable"
    assert site.models["anthropic"].seen == []


def test_an_image_for_ollama(site: ClientSite) -> None:
    """The ollama package raises ``ResponseError``, for a chat and for a prompt."""
    end = site.through("ollama")
    with Client(end.url, headers={"Authorization": f"Bearer {end.key}"}, trust_env=False) as client:
        with pytest.raises(ollama.ResponseError) as refused:
            client.chat("llama3:8b", [{"role": "user", "content": "what is it", "images": [PIXEL]}])
        assert refused.value.status_code == 400
        with pytest.raises(ollama.ResponseError) as refused:
            client.generate("llama3:8b", "what is it", images=[PIXEL])
        assert refused.value.status_code == 400
    assert site.models["ollama"].seen == []


def test_a_recording_is_refused_unless_a_rule_lets_it_pass(site: ClientSite) -> None:
    """No rule names recordings on this connection."""
    with openai_sdk(site.through("openai")) as client, pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(**ASKED)
    assert refused.value.code == "hoopguard_uninspectable"
    assert site.models["openai"].seen == []


def test_a_recording_that_may_pass(site: ClientSite) -> None:
    """Its bytes are the caller's, its name is not told; what is said beside it and what the model heard is masked."""

    def ask(end: Endpoint) -> Any:
        with openai_sdk(end) as client:
            return told(client.audio.transcriptions.create(**ASKED))

    site.compare("audio", ask)
    (request,) = site.models["audio"].seen
    assert RECORDING in request.body
    assert b"ada" not in request.body


def test_a_streamed_transcript(site: ClientSite) -> None:
    """The deltas are masked, and so is the whole text in the last event."""

    def ask(end: Endpoint) -> Any:
        with openai_sdk(end) as client:
            stream: Any = client.audio.transcriptions.create(stream=True, **ASKED)
            events = [told(event) for event in stream]
        return ["".join(event.get("delta", "") for event in events), events[-1]]

    site.compare("audio", ask)
