"""The openai and @anthropic-ai/sdk packages for JavaScript: whole, streamed, and by their helpers."""

from typing import Any

import gathering
import pytest
from clientsite import ClientSite, Endpoint, without
from nodeclient import INSTALL_S, ask
from questions import CHATS_OF_ONE_CHOICE, MESSAGES, RESPONSES

pytest_plugins = ["clientfixtures"]
pytestmark = pytest.mark.timeout(INSTALL_S)


@pytest.mark.parametrize("body", CHATS_OF_ONE_CHOICE.values(), ids=CHATS_OF_ONE_CHOICE)
def test_openai_chat(site: ClientSite, body: dict[str, Any]) -> None:
    """Chat completions."""

    def told(end: Endpoint) -> Any:
        answer = ask(end, "chat", body)
        # The package's helper keeps only the last piece of a field that is not OpenAI's own.
        final = without(answer["final"], "reasoning_content")
        return {**answer, "events": gathering.chat(answer["events"]), "final": final}

    site.compare("openai", told)


@pytest.mark.parametrize("body", RESPONSES.values(), ids=RESPONSES)
def test_openai_responses(site: ClientSite, body: dict[str, Any]) -> None:
    """OpenAI's Responses: every event, and the helper that adds them up."""

    def told(end: Endpoint) -> Any:
        answer = ask(end, "responses", body)
        return {**answer, "events": gathering.responses(answer["events"])}

    site.compare("responses", told)


@pytest.mark.parametrize("body", MESSAGES.values(), ids=MESSAGES)
def test_anthropic_messages(site: ClientSite, body: dict[str, Any]) -> None:
    """Anthropic's messages: thinking, texts, tools."""

    def told(end: Endpoint) -> Any:
        answer = ask(end, "messages", body)
        return {**answer, "events": gathering.messages(answer["events"])}

    site.compare("anthropic", told)


APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("chat", {"model": "llama-3-8b", "messages": [{"role": "user", "content": "a banana"}]}),
    "responses": ("responses", {"model": "llama-3-8b", "input": "a banana"}),
    "anthropic": ("messages", {**MESSAGES["plain"], "messages": [{"role": "user", "content": "a banana"}]}),
}
REFUSALS = {
    "blocked": ("", "PermissionDeniedError", "hoopguard_blocked"),
    "a stranger": ("nonsense", "AuthenticationError", "hoopguard_bad_token"),
}


@pytest.mark.parametrize(("key", "name", "code"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("api", APIS)
def test_a_refusal(site: ClientSite, api: str, key: str, name: str, code: str) -> None:
    """A refusal is the package's own exception with our code, whole, streamed and by the helper."""
    end = site.through(api)
    answers = ask(Endpoint(end.url, key or end.key), *APIS[api])
    errors = [(answers[way]["error"]["name"], answers[way]["error"]["code"]) for way in ("whole", "events", "final")]
    assert errors == [(name, code)] * 3
    assert site.models[api].seen == []
