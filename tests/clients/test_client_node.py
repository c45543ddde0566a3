"""The openai and @anthropic-ai/sdk packages for JavaScript: whole, streamed, and by their helpers."""

from typing import Any

import gathering
import pytest
from clientsite import ClientSite, Endpoint, without
from nodeclient import ask
from questions import CHATS_OF_ONE_CHOICE

pytest_plugins = ["clientfixtures"]


@pytest.mark.parametrize("body", CHATS_OF_ONE_CHOICE.values(), ids=CHATS_OF_ONE_CHOICE)
def test_openai_chat(site: ClientSite, body: dict[str, Any]) -> None:
    """Chat completions."""

    def told(end: Endpoint) -> Any:
        answer = ask(end, "chat", body)
        # The package's helper keeps only the last piece of a field that is not OpenAI's own.
        final = without(answer["final"], "reasoning_content")
        return {**answer, "events": gathering.chat(answer["events"]), "final": final}

    site.compare("openai", told)


REFUSALS = {
    "blocked": ("", "PermissionDeniedError", "hoopguard_blocked"),
    "a stranger": ("nonsense", "AuthenticationError", "hoopguard_bad_token"),
}


@pytest.mark.parametrize("way", ["whole", "events", "final"])
@pytest.mark.parametrize(("key", "name", "code"), REFUSALS.values(), ids=REFUSALS)
def test_an_openai_refusal(site: ClientSite, way: str, key: str, name: str, code: str) -> None:
    """A refusal is the package's own exception with our code."""
    end = site.through("openai")
    body = {"model": "llama-3-8b", "messages": [{"role": "user", "content": "a banana"}]}
    error = ask(Endpoint(end.url, key or end.key), "chat", body, [way])["error"]
    assert (error["name"], error["code"]) == (name, code)
    assert site.models["openai"].seen == []
