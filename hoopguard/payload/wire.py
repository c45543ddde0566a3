"""What the gateway needs to know of one route: its address, its bodies, its stream."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hoopguard.payload.bodies import JSON, BodyKind
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Fields, Word

PLAIN: Final = Fields()
"""A JSON body of which nothing is known: every value in it is inspected, every key a name."""

_PARAMETER: Final = re.compile(r"\{model\}")
_MODEL: Final = r"(?P<model>[A-Za-z0-9_.:-]{1,128})"


@dataclass(frozen=True, slots=True)
class Format:
    """How one route's traffic reads. A path may hold ``{model}``, which then names the model.

    ``body`` and ``answer_body`` say how bytes become what the tables speak of; ``batches`` that a body may also be a
    list of what it else is; ``accept`` what a server is told that can be read; ``headers`` which ones are the API's
    own, and pass both ways if they look like that, and ``session_header`` which of them names a server's session, that
    nobody else may speak in; ``refusal`` says how a refusal of a body is told, from the body, the
    status and the API's error object, where the API has a way of its own. A ``live`` route is a WebSocket: ``request``
    is then what a message of the caller's holds, and ``stream`` what the model's do.
    """

    name: str
    method: str
    path: str
    api: str = "openai"
    request: Fields = PLAIN
    answer: Fields = PLAIN
    stream: StreamShape | None = None
    needs_model: bool = False
    check: Callable[[Any], None] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What a server takes for granted where a request is silent; it decides how an answer comes."""
    body: BodyKind = JSON
    answer_body: BodyKind = JSON
    batches: bool = False
    accept: str = ""
    headers: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    session_header: str = ""
    refusal: Callable[[Any, int, dict[str, Any]], tuple[int, Any]] | None = None
    live: bool = False

    @property
    def has_body(self) -> bool:
        """Tell whether a request of this route carries a body."""
        return self.method == "POST"

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request takes this route."""
        return method == self.method and (path == self.path or self._named(path) is not None)

    def model(self, body: Any, path: str = "") -> str | None:
        """Return the model that a request names, by its body or its path.

        Raises:
            BodyError: the body is not an object, names no model where the route demands one, or is not what
                the route takes.
        """
        named = self._named(path)
        if not self.has_body:
            return named
        if not isinstance(body, dict) and not (self.batches and isinstance(body, list)):
            raise BodyError("the body has to be a JSON object")
        if self.check is not None:
            self.check(body)
        if isinstance(body, list):
            return named
        model = body.get("model") if named is None else named
        if isinstance(model, str) and model:
            return model
        if model is not None or self.needs_model:
            raise BodyError("the body has to name a model, as a text")
        return None

    def _named(self, path: str) -> str | None:
        if "{model}" not in self.path:
            return None
        pattern = _PARAMETER.sub(_MODEL, re.escape(self.path).replace(r"\{model\}", "{model}"))
        found = re.fullmatch(pattern, path)
        return found["model"] if found else None


def check_messages(body: Any, roles: Word) -> None:
    """Refuse what is no conversation.

    Raises:
        BodyError: a message is not an object, is of no known role, or its content is neither text nor parts.
    """
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else []:
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in roles.words:
            raise BodyError(f"every message has to be an object with a role out of {', '.join(sorted(roles.words))}")
        if not isinstance(message.get("content"), str | list | None):
            raise BodyError("a message's content has to be a text, or a list of parts")
