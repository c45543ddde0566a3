"""A gateway in front of the fake models, and the one question that these tests ask of it.

A client does the same thing twice: at the model itself, and through the gateway. What it gets, and what the model is
sent, has to be equal but for personal data. So ids, counts, reasons and the order of events are all held intact
without being listed, and a fake is proven by the client's own library before the gateway is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

from fake import KEY
from gateways import HEAD, LISTENING, NO_BANANAS, PERSONAL_DATA
from models import MODELS, Model
from speech import is_clean, masked

from hoopguard.demo.issuer import DemoIssuer
from hoopguard.demo.stack import GatewayProcess

_CONNECTION: Final = """
[[connection]]
name = "{name}"
upstream = "{url}"
api = "{api}"
credential = {{ value = "Bearer {key}" }}
allow = [{{ groups = ["ml"] }}]
"""

_OWN_RULES: Final = """
[[guardrail]]
name = "no-fruit"
on = "response"
words = ["forbidden fruit"]
action = "block"
message = "The model must not offer fruit."
[[guardrail]]
name = "recordings"
unreadable = ["audio"]
connections = ["audio"]
action = "flag"
"""
_RULES: Final = NO_BANANAS + _OWN_RULES + PERSONAL_DATA

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a client is told: where the API is, and what to say as its key."""

    url: str
    key: str


class Answer(Protocol):
    """An answer's object in an SDK that keeps what it was not told of (openai, anthropic)."""

    def to_dict(self) -> dict[str, Any]: ...
    @classmethod
    def model_validate(cls, obj: Any) -> Self: ...


class ClientSite:
    """The fakes and the issuer in threads, the gateway in a process."""

    def __init__(self, folder: Path) -> None:
        self.issuer = DemoIssuer().start()
        self.models: dict[str, Model] = {name: begin().start() for name, begin in MODELS.items()}
        policy = folder / "policy.toml"
        policy.write_text(self._policy())
        self.gateway = GatewayProcess(policy, [f"reverse:{self.models['openai'].url}@0"], folder=folder)

    def start(self) -> Self:
        self.gateway.start()
        return self

    @property
    def url(self) -> str:
        found = LISTENING.search(self.gateway.text())
        assert found, self.gateway.text()
        return f"http://127.0.0.1:{found[2]}"

    def _policy(self) -> str:
        text = HEAD.format(issuer=self.issuer.url)
        for name, model in self.models.items():
            text += _CONNECTION.format(name=name, url=model.url, api=model.api, key=KEY)
        return text + _RULES

    def close(self) -> None:
        self.gateway.stop()
        for model in self.models.values():
            model.stop()
        self.issuer.stop()

    def token(self, *groups: str, **claims: Any) -> str:
        return self.issuer.token("ada@example.com", groups or ("ml",), **claims)

    def direct(self, name: str) -> Endpoint:
        """Return the model itself."""
        return Endpoint(self.models[name].url, KEY)

    def through(self, name: str) -> Endpoint:
        """Return the gateway's connection to the model."""
        return Endpoint(f"{self.url}/{name}", self.token())

    def twice(self, name: str, ask: Callable[[Endpoint], T]) -> tuple[T, T]:
        """Return what a client gets at the model and through the gateway; what it sent is compared here.

        The model has to be sent personal data when asked directly, and none of it through the gateway.
        """
        model = self.models[name]
        model.forget()
        directly = ask(self.direct(name))
        asked = model.bodies()
        model.forget()
        through = ask(self.through(name))
        equal(model.bodies(), masked(asked))
        assert all(is_clean(request.body.decode("utf-8", "replace")) for request in model.seen)
        assert not is_clean(json.dumps(asked))
        return directly, through

    def compare(
        self, name: str, ask: Callable[[Endpoint], Any], change: Callable[[Any], Any] = lambda told: told
    ) -> None:
        """Assert that what a client gets through the gateway is what the model said, but for personal data.

        ``change`` makes of the model's own answer what else the gateway is documented to change.
        """
        directly, through = self.twice(name, ask)
        equal(through, masked(change(directly)))
        assert not is_clean(json.dumps(directly))
        assert is_clean(json.dumps(through))


def equal(found: Any, expected: Any) -> None:
    """Assert that two JSON values are equal; say where they are not."""
    before, after = (json.dumps(value, indent=1).splitlines() for value in (expected, found))
    assert found == expected, "\n".join(unified_diff(before, after, "expected", "found", lineterm="", n=2))


def told(answer: Answer) -> dict[str, Any]:
    """Return an SDK's object as JSON, once its own type has validated it: the SDKs themselves take anything."""
    value = answer.to_dict()
    type(answer).model_validate(value)
    return value


def without(value: Any, *keys: str) -> Any:
    """Return a JSON value with ``null`` for what stands at these keys, wherever; what is empty says nothing."""
    if isinstance(value, dict):
        return {key: None if child and key in keys else without(child, *keys) for key, child in value.items()}
    return [without(child, *keys) for child in value] if isinstance(value, list) else value
