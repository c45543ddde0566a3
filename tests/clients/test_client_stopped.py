"""Answers that a rule forbids: a whole one is the client's exception, a stream ends as its API ends one."""

from typing import Any

import anthropic
import ollama
import openai
import pytest
from anthropic import Anthropic
from clientsite import ClientSite, told
from ollama import Client
from openai import OpenAI
from speech import answered, is_clean, masked

pytest_plugins = ["clientfixtures"]

TEMPTING: list[Any] = [{"role": "user", "content": "tempt me"}]


def stopped(text: str) -> None:
    """Assert that what came is masked, is the beginning, and ends before what is forbidden.

    How much of it came depends on how busy the gateway is: what masking still held is not said any more.
    """
    assert text
    assert masked(answered(TEMPTING)).startswith(text)
    assert "fruit" not in text
    assert is_clean(text)


def openai_sdk(site: ClientSite, name: str) -> OpenAI:
    end = site.through(name)
    return OpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=openai.DefaultHttpxClient(trust_env=False))


def test_chat_completions(site: ClientSite) -> None:
    """Whole: ``PermissionDeniedError``. Streamed: the last choice says ``content_filter``."""
    asked: dict[str, Any] = {"model": "llama-3-8b", "messages": TEMPTING}
    with openai_sdk(site, "openai") as client:
        with pytest.raises(openai.PermissionDeniedError, match="must not offer fruit"):
            client.chat.completions.create(**asked)
        choices = [chunk.choices[0] for chunk in client.chat.completions.create(stream=True, **asked)]
    stopped("".join(choice.delta.content or "" for choice in choices))
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["content_filter"]
    assert choices[-1].finish_reason


def test_responses(site: ClientSite) -> None:
    """Whole: ``PermissionDeniedError``. Streamed: the response is incomplete, for its content."""
    asked: dict[str, Any] = {"model": "llama-3-8b", "input": TEMPTING}
    with openai_sdk(site, "responses") as client:
        with pytest.raises(openai.PermissionDeniedError, match="must not offer fruit"):
            client.responses.create(**asked)
        events: list[Any] = list(client.responses.create(stream=True, **asked))
    stopped("".join(event.delta for event in events if event.type == "response.output_text.delta"))
    assert events[-1].type == "response.incomplete"
    assert told(events[-1])["response"]["incomplete_details"] == {"reason": "content_filter"}


def test_messages(site: ClientSite) -> None:
    """Whole: ``PermissionDeniedError``. Streamed: the helper's final message stops with ``refusal``."""
    end = site.through("anthropic")
    asked: dict[str, Any] = {"model": "claude-local", "max_tokens": 64, "messages": TEMPTING}
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with Anthropic(base_url=end.url, api_key=end.key, http_client=http) as client:
        with pytest.raises(anthropic.PermissionDeniedError, match="must not offer fruit"):
            client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    stopped("".join(block.text for block in message.content if block.type == "text"))
    assert message.stop_reason == "refusal"


def test_ollama(site: ClientSite) -> None:
    """Whole: ``ResponseError``. Streamed: the last line is ``done``, for its content."""
    end = site.through("ollama")
    with Client(end.url, headers={"Authorization": f"Bearer {end.key}"}, trust_env=False) as client:
        with pytest.raises(ollama.ResponseError, match="must not offer fruit"):
            client.chat("llama3:8b", TEMPTING)
        lines = list(client.chat("llama3:8b", TEMPTING, stream=True))
    stopped("".join(line.message.content or "" for line in lines))
    assert [line.done_reason for line in lines if line.done] == ["content_filter"]
    assert lines[-1].done
