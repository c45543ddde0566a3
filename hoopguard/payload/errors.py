"""Refusals in the shape that the caller's SDK turns into its own exception (law 7)."""

from typing import Any, Final

import orjson

_OPENAI_TYPES: Final = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}


def openai_error(status: int, code: str, message: str, exchange_id: str, **more: Any) -> dict[str, Any]:
    """Return OpenAI's error object; ``code`` is stable, ``hoopguard`` holds what a program may need."""
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {
        "error": {
            "message": f"{message} (exchange {exchange_id})",
            "type": kind,
            "param": None,
            "code": code,
            "hoopguard": {"exchange": exchange_id, **more},
        }
    }


def error_body(status: int, code: str, message: str, exchange_id: str, **more: Any) -> bytes:
    """Return a refusal's body."""
    return orjson.dumps(openai_error(status, code, message, exchange_id, **more))


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
