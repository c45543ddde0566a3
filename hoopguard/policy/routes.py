"""The routes that a policy can name, and those that a connection has if its policy names none.

What a route's bodies and streams look like is the wire formats' affair (``payload``); this is the list of their names.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Api = Literal["openai", "anthropic", "ollama", "llamacpp", "tgi", "kserve", "mcp", "auto"]
"""What a connection's ``api`` may be; each but ``auto`` has routes of its own."""


class Route(NamedTuple):
    """Where a named route is found, and whose API it belongs to. ``{model}`` stands for a model's name."""

    method: str
    path: str
    api: str

    def covers(self, path: str) -> bool:
        """Tell whether a path is this route's, for any model."""
        return re.fullmatch(re.escape(self.path).replace(r"\{model\}", "[^/]+"), path) is not None


ROUTES: Final[Mapping[str, Route]] = {
    "chat/completions": Route("POST", "/v1/chat/completions", "openai"),
    "completions": Route("POST", "/v1/completions", "openai"),
    "models": Route("GET", "/v1/models", "openai"),
    "responses": Route("POST", "/v1/responses", "openai"),
    "realtime": Route("GET", "/v1/realtime", "openai"),
    "messages": Route("POST", "/v1/messages", "anthropic"),
    "messages/count_tokens": Route("POST", "/v1/messages/count_tokens", "anthropic"),
    "embeddings": Route("POST", "/v1/embeddings", "openai"),
    "rerank": Route("POST", "/rerank", "openai"),
    "v1/rerank": Route("POST", "/v1/rerank", "openai"),
    "v2/rerank": Route("POST", "/v2/rerank", "openai"),
    "score": Route("POST", "/score", "openai"),
    "v1/score": Route("POST", "/v1/score", "openai"),
    "tokenize": Route("POST", "/tokenize", "openai"),
    "detokenize": Route("POST", "/detokenize", "openai"),
    "audio/transcriptions": Route("POST", "/v1/audio/transcriptions", "openai"),
    "audio/translations": Route("POST", "/v1/audio/translations", "openai"),
    "images/generations": Route("POST", "/v1/images/generations", "openai"),
    "images/edits": Route("POST", "/v1/images/edits", "openai"),
    "images/variations": Route("POST", "/v1/images/variations", "openai"),
    "api/chat": Route("POST", "/api/chat", "ollama"),
    "api/generate": Route("POST", "/api/generate", "ollama"),
    "api/embed": Route("POST", "/api/embed", "ollama"),
    "api/embeddings": Route("POST", "/api/embeddings", "ollama"),
    "api/tags": Route("GET", "/api/tags", "ollama"),
    "api/show": Route("POST", "/api/show", "ollama"),
    "api/ps": Route("GET", "/api/ps", "ollama"),
    "api/version": Route("GET", "/api/version", "ollama"),
    "completion": Route("POST", "/completion", "llamacpp"),
    "llamacpp/completions": Route("POST", "/completions", "llamacpp"),
    "infill": Route("POST", "/infill", "llamacpp"),
    "generate": Route("POST", "/generate", "tgi"),
    "generate_stream": Route("POST", "/generate_stream", "tgi"),
    "v2/infer": Route("POST", "/v2/models/{model}/infer", "kserve"),
    "v2/generate": Route("POST", "/v2/models/{model}/generate", "kserve"),
    "v2/generate_stream": Route("POST", "/v2/models/{model}/generate_stream", "kserve"),
    "mcp": Route("POST", "/mcp", "mcp"),
    "mcp/listen": Route("GET", "/mcp", "mcp"),
    "mcp/end": Route("DELETE", "/mcp", "mcp"),
}

_PLAIN: Final = re.compile(r"(GET|POST) (/[A-Za-z0-9._~/-]+)", re.ASCII)


ONLY_BY_NAME: Final = frozenset({"realtime"})
"""Routes that a connection has only if its policy names them: a conversation lives long, and leaves HTTP behind."""


def routes_of(api: str) -> tuple[str, ...]:
    """Return the names of an API's routes; ``auto`` has them all, but for those that have to be named."""
    return tuple(name for name, route in ROUTES.items() if api in ("auto", route.api) and name not in ONLY_BY_NAME)


def check_route(route: str) -> None:
    """Refuse what names no route.

    Raises:
        ValueError: neither a known name nor a method and a path, or a path that has a name.
    """
    if route in ROUTES:
        return
    plain = _PLAIN.fullmatch(route)
    if plain is None:
        raise ValueError(f'expected one of {", ".join(ROUTES)}, or "POST /path" for a JSON route, not {route!r}')
    named = [name for name, known in ROUTES.items() if known.covers(plain[2])]
    if named:
        best = next((name for name in named if ROUTES[name].method == plain[1]), named[0])
        raise ValueError(f"expected {best!r}, not {route!r}: by its name, all of the route is understood")
