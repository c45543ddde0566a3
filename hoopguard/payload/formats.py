"""The wire formats: one object each, saying its route, its texts and how its stream is cut up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hoopguard.payload import openai_chat, openai_completions
from hoopguard.payload.fields import Fields
from hoopguard.payload.streaming import StreamShape
from hoopguard.payload.strict_json import BodyError

PLAIN: Final = Fields()
"""A JSON body of which nothing is known: every string in it is text."""


@dataclass(frozen=True, slots=True)
class Format:
    """How one route's traffic reads."""

    name: str
    method: str
    path: str
    request: Fields = PLAIN
    answer: Fields = PLAIN
    stream: StreamShape | None = None
    needs_model: bool = False
    check: Callable[[Any], None] | None = None

    @property
    def has_body(self) -> bool:
        """Tell whether a request of this route carries a JSON object."""
        return self.method == "POST"

    def model(self, body: Any) -> str | None:
        """Return the model that a request names, once it is clear that all of it can be inspected.

        Raises:
            BodyError: the body is not an object, names no model where the route demands one, or holds
                something that cannot be looked into.
        """
        if not self.has_body:
            return None
        if not isinstance(body, dict):
            raise BodyError("the body has to be a JSON object")
        if self.check is not None:
            self.check(body)
        model = body.get("model")
        if isinstance(model, str) and model:
            return model
        if model is not None or self.needs_model:
            raise BodyError("the body has to name a model, as a text")
        return None


_MODELS_ANSWER: Final = Fields(
    structural=frozenset({("object",), ("data", "*", "id"), ("data", "*", "object"), ("data", "*", "owned_by")})
)

_NAMED: Final = {
    "chat/completions": Format(
        name="chat/completions",
        method="POST",
        path="/v1/chat/completions",
        request=openai_chat.REQUEST,
        answer=openai_chat.ANSWER,
        stream=openai_chat.STREAM,
        needs_model=True,
        check=openai_chat.check_request,
    ),
    "completions": Format(
        name="completions",
        method="POST",
        path="/v1/completions",
        request=openai_completions.REQUEST,
        answer=openai_completions.ANSWER,
        stream=openai_completions.STREAM,
        needs_model=True,
        check=openai_completions.check_request,
    ),
    "models": Format(name="models", method="GET", path="/v1/models", answer=_MODELS_ANSWER),
}


def format_of(route: str) -> Format:
    """Return the format of a route as the policy writes it: a name, or ``POST /path`` for plain JSON."""
    named = _NAMED.get(route)
    if named is not None:
        return named
    method, _, path = route.partition(" ")
    return Format(name=route, method=method, path=path)


def find_format(routes: tuple[str, ...], method: str, path: str) -> Format | None:
    """Return the format of the listed route that a request takes; ``None`` if it takes none of them."""
    for route in routes:
        candidate = format_of(route)
        if candidate.method == method and candidate.path == path:
            return candidate
    return None
