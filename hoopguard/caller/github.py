"""GitHub Actions: a job with ``permissions: id-token: write`` asks the runner's service for a token.

The protocol is that of GitHub's "OpenID Connect reference": ``GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…`` with
``$ACTIONS_ID_TOKEN_REQUEST_TOKEN`` as bearer, answered with ``{"value": "<JWT>"}``.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import httpx

from hoopguard.caller.tokens import NoTokenError, Token, read_token

_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_BEARER: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_TIMEOUT_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 65_536
_TRIES: Final = 3
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class GitHub:
    """The OIDC service of GitHub Actions."""

    env: Mapping[str, str] = field(repr=False)
    audience: str
    name: str = "GitHub Actions"
    variables: tuple[str, ...] = ()

    def absent(self) -> str:
        """Return why there is nothing to be had."""
        if self.env.get(_URL) and self.env.get(_BEARER):
            return ""
        if self.env.get("GITHUB_ACTIONS") == "true":
            return "the job lacks permissions: id-token: write"
        return "no job of GitHub's"

    def read(self) -> Token:
        """Ask the service for a token; it makes a new one each time.

        Raises:
            NoTokenError: it refuses, or cannot be reached.
        """
        url = _checked(self.env[_URL]).copy_set_param("audience", self.audience)
        headers = {"authorization": f"Bearer {self.env[_BEARER]}", "accept": "application/json; api-version=2.0"}
        for tries_left in reversed(range(_TRIES)):
            try:
                status, body = _get(url, headers)
            except httpx.HTTPError as error:
                status, body = 0, type(error).__name__.encode()
            if status == 200:
                return read_token(_value(body), self.name)
            if 0 < status < 500 or not tries_left:
                break
            time.sleep(_PAUSE_S)
        said = f"answered {status}" if status else f"cannot be reached ({body.decode()})"
        raise NoTokenError(f"GitHub's token service {said}", hint="does the job have permissions: id-token: write?")


def _get(url: httpx.URL, headers: Mapping[str, str]) -> tuple[int, bytes]:
    with httpx.stream("GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=False) as response:
        body = b""
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                raise NoTokenError("GitHub's token service answered more than a token")
        return response.status_code, body


def _checked(address: str) -> httpx.URL:
    """Return the service's address; the job's own credential goes there, so never in the clear."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise NoTokenError(f"${_URL} is no URL") from error
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise NoTokenError(f"${_URL} is not an https address")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _value(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    value = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise NoTokenError("GitHub's token service answered without a token")
    return value
