"""Law 7: refusals are the SDK's own exceptions, with a stable code, and are not retried."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from harness import DEADLINE_S, Site
from openai import DefaultHttpxClient, OpenAI


class Counted:
    """The SDK with its own retries, and the number of requests that it made."""

    def __init__(self, site: Site, token: str | None = None) -> None:
        self.requests = 0
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._count]}
        self.http = DefaultHttpxClient(trust_env=False, timeout=DEADLINE_S, event_hooks=hooks)
        self.sdk = OpenAI(base_url=f"{site.url}/v1", api_key=token or site.token(), http_client=self.http)

    def _count(self, request: object) -> None:
        self.requests += 1

    def ask(self, prompt: str, *, stream: bool = False, model: str = "llama-3-8b") -> str:
        messages: Any = [{"role": "user", "content": prompt}]
        if not stream:
            return self.sdk.chat.completions.create(model=model, messages=messages).choices[0].message.content or ""
        chunks = self.sdk.chat.completions.create(model=model, messages=messages, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.fixture
def counted(site: Site) -> Iterator[Counted]:
    counted = Counted(site)
    yield counted
    counted.http.close()


def check(counted: Counted, error: openai.APIStatusError, status: int, code: str, *words: str) -> None:
    exchange = error.response.headers["hoopguard-exchange"]
    body: Any = error.body
    assert (error.status_code, error.code) == (status, code)
    assert body["hoopguard"]["exchange"] == exchange
    for word in (exchange, *words):
        assert word in error.message
    assert counted.requests == 1


def test_the_sdk_is_answered(counted: Counted) -> None:
    """An allowed request is answered, buffered and streamed, without a retry."""
    assert "<EMAIL_ADDRESS>" in counted.ask("who is the customer")
    assert "<EMAIL_ADDRESS>" in counted.ask("who is the customer", stream=True)
    assert counted.requests == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_prompt_is_a_permission_error(counted: Counted, site: Site, stream: bool) -> None:
    """A blocked prompt is ``PermissionDeniedError`` with the rule's own message and name."""
    with pytest.raises(openai.PermissionDeniedError) as caught:
        counted.ask("a banana, please", stream=stream)
    check(counted, caught.value, 403, "hoopguard_blocked", "Bananas must not be discussed.")
    body: Any = caught.value.body
    assert body["hoopguard"]["rule"] == "no-bananas"
    assert site.seen == []


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"expires_in": -60}, "hoopguard_bad_token"),
        ({"audience": "another"}, "hoopguard_bad_token"),
        ({"claims": {"iss": "https://evil.example"}}, "hoopguard_bad_token"),
        ({"headers": {"kid": "unknown"}}, "hoopguard_bad_token"),
    ],
)
def test_a_bad_token_is_an_authentication_error(site: Site, claims: dict[str, Any], code: str) -> None:
    """An expired token, one for another audience or of a stranger is ``AuthenticationError``."""
    counted = Counted(site, site.token(**claims))
    with counted.http, pytest.raises(openai.AuthenticationError) as caught:
        counted.ask("hello")
    check(counted, caught.value, 401, code)
    assert site.seen == []


def test_what_is_not_permitted_is_a_permission_error(site: Site) -> None:
    """A model, a route or a connection that the principal may not use is ``PermissionDeniedError``."""
    attempts: list[tuple[list[str], Callable[[Counted], object]]] = [
        (["ci"], lambda counted: counted.ask("hello", model="llama-3-70b")),
        (["ci"], lambda counted: list(counted.sdk.models.list())),
        (["nobody"], lambda counted: counted.ask("hello")),
        ([], lambda counted: counted.ask("hello")),
    ]
    for groups, ask in attempts:
        counted = Counted(site, site.token("ci@example.com", groups))
        with counted.http, pytest.raises(openai.PermissionDeniedError) as caught:
            ask(counted)
        check(counted, caught.value, 403, "hoopguard_not_permitted", "ci@example.com")
    assert site.seen == []


def test_a_bad_body_is_a_bad_request(counted: Counted, site: Site) -> None:
    """A body that cannot be inspected is ``BadRequestError``."""
    with pytest.raises(openai.BadRequestError) as caught:
        counted.sdk.chat.completions.create(model="", messages=[])
    check(counted, caught.value, 400, "hoopguard_bad_body")
    content: Any = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}
    ]
    counted.requests = 0
    with pytest.raises(openai.BadRequestError) as caught:
        counted.sdk.chat.completions.create(model="llama-3-8b", messages=content)
    check(counted, caught.value, 400, "hoopguard_uninspectable")
    assert site.seen == []


@pytest.mark.parametrize("mode", ["die", "garbage", "wrong_type", "huge"])
def test_a_broken_model_is_a_server_error_without_retries(counted: Counted, site: Site, mode: str) -> None:
    """A model's failure is ``InternalServerError``; the gateway asks once, and so does the SDK."""
    site.model.behave(mode)
    with pytest.raises(openai.InternalServerError) as caught:
        counted.ask("hello")
    assert str(caught.value.code).startswith("hoopguard_")
    assert (counted.requests, len(site.seen)) == (1, 1)


def test_a_broken_stream_is_an_api_error(counted: Counted, site: Site) -> None:
    """An error event in the middle of a stream is ``APIError``, with the gateway's code."""
    site.model.behave("die_mid_stream")
    with pytest.raises(openai.APIError) as caught:
        counted.ask("count to 50", stream=True)
    assert caught.value.code == "hoopguard_stream_failed"
    assert counted.requests == 1


def test_a_blocked_answer_is_a_permission_error(counted: Counted, site: Site) -> None:
    """A forbidden answer, whole, is refused with the rule's message; the model was asked once."""
    with pytest.raises(openai.PermissionDeniedError) as caught:
        counted.ask("say: a cherry")
    check(counted, caught.value, 403, "hoopguard_blocked", "The model must not speak of cherries.")
    assert len(site.seen) == 1


def test_a_blocked_stream_ends_properly(counted: Counted, site: Site) -> None:
    """A forbidden streamed answer stops with ``finish_reason`` and ``[DONE]``; the connection goes on."""
    messages: Any = [{"role": "user", "content": "say: first this, then a cherry, and then more of it"}]
    chunks = list(counted.sdk.chat.completions.create(model="llama-3-8b", messages=messages, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "first this" in said
    assert "more of it" not in said
    assert "cherry" not in said
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert counted.ask("hello")
    assert counted.requests == 2


def test_what_is_observed_is_let_through(site: Site) -> None:
    """A rule in observe mode blocks nothing, and the record says that it would have."""
    response = site.ask("an elderberry")
    assert response.status_code == 200
    outcome = site.outcome(response.headers["hoopguard-exchange"])
    (verdict,) = outcome["verdicts"]
    assert (verdict["rule"], verdict["observed"]) == ("watched", True)
