"""Whose API a path is, when nothing else is known of a request yet."""

import pytest

from hoopguard.payload.anthropic_messages import FORMAT
from hoopguard.payload.formats import api_of


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("POST", "/v1/chat/completions", "openai"),
        ("POST", "/llama/v1/messages", "anthropic"),
        ("POST", "/api/chat", "ollama"),
        ("GET", "/local/api/tags?x=1", "ollama"),
        ("POST", "/v2/models/bert/infer", "kserve"),
        ("POST", "/triton/v2/models/bert/infer", "kserve"),
        ("POST", "/generate_stream", "tgi"),
        ("POST", "/mcp", "mcp"),
        ("POST", "/v1/completions", "openai"),
        ("POST", "/v1\\chat/completions", None),
        ("GET", "/metrics", None),
        ("GET", "/", None),
        ("GET", "", None),
    ],
)
def test_a_path_tells_whose_errors_its_caller_understands(method: str, path: str, api: str | None) -> None:
    assert api_of(method, path) == api


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("anthropic-version", "2023-06-01", True),
        ("anthropic-version", "4158675309", False),
        ("anthropic-beta", "interleaved-thinking-2025-05-14,files-api-2025-04-14", True),
        ("anthropic-beta", "bob@example.com", False),
        ("anthropic-beta", "4158675309-2025-05-14", False),
    ],
)
def test_an_api_s_own_headers_say_nothing_else(name: str, value: str, passes: bool) -> None:
    assert bool(FORMAT.headers[name].fullmatch(value)) is passes
