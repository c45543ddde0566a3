"""What a command is told so that its clients go through the gateway: variables, and nothing secret but a password that
opens the forwarder on loopback while the command runs.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from hoopguard.caller.heads import Mode

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_USER: Final = "hoopguard"


def command_environment(
    env: Mapping[str, str],
    mode: Mode,
    *,
    port: int,
    password: str,
    trust: Mapping[str, str],
    without: Iterable[str] = (),
) -> dict[str, str]:
    """Return a command's environment: ``env`` without the variables that hold tokens, with ours.

    ``port`` and ``password`` are the forwarder's; ``trust`` names CA bundles.
    """
    left_out = {*without, *(("ANTHROPIC_AUTH_TOKEN",) if mode == "base-url" else ())}
    kept = {name: value for name, value in env.items() if name not in left_out}
    ours = _proxy(port, password) if mode == "proxy" else _base_urls(port, password)
    direct = no_proxy(env)
    return {**kept, **ours, **trust, "NO_PROXY": direct, "no_proxy": direct}


def no_proxy(env: Mapping[str, str]) -> str:
    """Return the hosts that are reached directly: those that were, and loopback."""
    named = ",".join((env.get("NO_PROXY", ""), env.get("no_proxy", ""), *LOOPBACK))
    return ",".join(dict.fromkeys(host.strip() for host in named.split(",") if host.strip()))


def _proxy(port: int, password: str) -> dict[str, str]:
    url = f"http://{_USER}:{quote(password, safe='')}@127.0.0.1:{port}"
    return {"HTTPS_PROXY": url, "https_proxy": url, "NODE_USE_ENV_PROXY": "1"}


def _base_urls(port: int, password: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": password,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": password,
    }
