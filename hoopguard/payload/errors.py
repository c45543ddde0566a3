"""Refusals in the shape that the caller's SDK turns into its own exception (law 7)."""

from collections.abc import Callable
from typing import Any, Final

import orjson

_OPENAI_TYPES: Final = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}

Shape = Callable[[int, str, str, dict[str, Any]], dict[str, Any]]
"""From a status, a stable code, a message and what a program may need, to the API's error object."""


def error_of(api: str, status: int, code: str, message: str, exchange_id: str, **more: Any) -> dict[str, Any]:
    """Return an API's error object; ``code`` is stable, ``hoopguard`` holds what a program may need."""
    shape = _SHAPES.get(api, _openai)
    return shape(status, code, f"{message} (exchange {exchange_id})", {"exchange": exchange_id, **more})


def error_body(api: str, status: int, code: str, message: str, exchange_id: str, **more: Any) -> bytes:
    """Return a refusal's body."""
    return orjson.dumps(error_of(api, status, code, message, exchange_id, **more))


def error_headers(status: int, exchange_id: str) -> dict[str, str]:
    """Return a refusal's headers: what it is, whose it is, and that a retry would not help."""
    headers = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "hoopguard-exchange": exchange_id,
        "x-should-retry": "false",
    }
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="hoopguard"'
    if status == 407:
        headers["proxy-authenticate"] = 'Basic realm="hoopguard"'
    if status in (429, 503):
        headers["retry-after"] = "5"
    return headers


def _openai(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code, "hoopguard": more}}


def _anthropic(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message, "code": code, "hoopguard": more}}


def _plain(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return the error of Ollama and of KServe (Open Inference Protocol): a message, and beside it our own."""
    return {"error": message, "code": code, "hoopguard": more}


def _tgi(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"error": message, "error_type": code, "hoopguard": more}


def _llamacpp(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "type": code, "hoopguard": more}}


def _jsonrpc(status: int, code: str, message: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON-RPC 2.0 error (§5.1) in the range that is left to servers."""
    error = {"code": -32_000 - status % 100, "message": message, "data": {"code": code, "status": status, **more}}
    return {"jsonrpc": "2.0", "id": None, "error": error}


_SHAPES: Final[dict[str, Shape]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "ollama": _plain,
    "kserve": _plain,
    "tgi": _tgi,
    "llamacpp": _llamacpp,
    "mcp": _jsonrpc,
}
