"""``make run``: the gateway goes on running, and whoever started it is told how to use it."""

import time
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from hoopguard.authority import BUNDLE_FILE
from hoopguard.demo import cast
from hoopguard.demo.installation import HOOPGUARD, PROJECT, shown, typed
from hoopguard.demo.scenes_proxying import HOST
from hoopguard.demo.stage import Stage, chat
from hoopguard.demo.telling import Page

_TOKEN_S: Final = 12 * 3600.0
_LOOK_S: Final = 0.5


def welcome(stage: Stage, page: Page) -> None:
    """Print the ways in, tokens, a line to try for each, how to approve, and where things are."""
    tokens = _tokens(stage)
    _ways_in(stage, page, tokens)
    _to_try(stage, page, tokens)
    _to_approve(stage, page, tokens)
    _where(stage, page)
    page.say("\nCtrl-C stops it all.")


def stay(stage: Stage) -> list[str]:
    """Return the names of processes that ended by themselves, once one has; else stay until interrupted."""
    while not (ended := stage.ended()):
        time.sleep(_LOOK_S)
    return ended


def _tokens(stage: Stage) -> dict[str, str]:
    """Write a token for each role; return the files by role."""
    signed = {
        "ada": cast.ada(stage, groups=["ml"], expires_in=_TOKEN_S),
        "ci": cast.job(stage, expires_in=_TOKEN_S),
        "reviewer": cast.grace(stage, expires_in=_TOKEN_S),
    }
    return {role: typed(stage.token_file(role, token)) for role, token in signed.items()}


def _ways_in(stage: Stage, page: Page, tokens: dict[str, str]) -> None:
    page.say("\n[bold]Two ways in[/]\n")
    page.say(f"  SDKs      base_url={stage.reverse_url}/v1  api_key=<token>     (/coder/v1: the other model)")
    page.say(f"  proxy     HTTPS_PROXY=http://token:<token>@{stage.forward}  for https://{HOST}/v1")
    page.say('            with the CA:  eval "$(hoopguard certs env)"')
    page.say("\n[bold]Tokens[/], good for 12 hours\n")
    for role, who in (("ada", "a person, group ml"), ("ci", "a CI job"), ("reviewer", "a person who approves")):
        page.say(f"  {escape(tokens[role]):<28}  {who}")


def _to_try(stage: Stage, page: Page, tokens: dict[str, str]) -> None:
    reverse = f'curl -sS {stage.reverse_url}/v1/chat/completions -H "authorization: Bearer $(cat {tokens["ada"]})"'
    bundle = typed(stage.installation.certs / BUNDLE_FILE)
    proxy = f'HTTPS_PROXY="http://token:$(cat {tokens["ci"]})@{stage.forward}" CURL_CA_BUNDLE={bundle}'
    page.say("\n[bold]Try it[/]: the answer comes masked\n")
    page.command(f"{reverse} --json '{chat('Who is the customer?')}'")
    page.say("\n  the same as a stream\n")
    page.command(f"{reverse} -N --json '{chat('Who is the customer?', stream=True)}'")
    page.say("\n  as a CI job does it\n")
    page.command(f"{proxy} curl -sS https://{HOST}/v1/chat/completions --json '{chat('Who is the customer?')}'")
    page.say("\n  something risky, which waits for a reviewer\n")
    page.command(f"{reverse} --json '{chat('Please list all customers.')}'")


def _to_approve(stage: Stage, page: Page, tokens: dict[str, str]) -> None:
    page.say("\n[bold]Approve it[/], in another terminal\n")
    page.command(f"{_hoopguard(stage, 'approvals list')}")
    page.command(f"{_hoopguard(stage, 'approvals approve')} --token-file {tokens['reviewer']} ID")


def _where(stage: Stage, page: Page) -> None:
    place = stage.installation
    page.say("\n[bold]See what remains[/]\n")
    page.command(_hoopguard(stage, "sessions list"))
    page.command(_hoopguard(stage, "audit verify"))
    page.say(f"\n  policy    {escape(shown(place.policy))}   (a saved change holds from the next request on)")
    page.say(f"  sessions  {escape(shown(place.state / 'sessions'))}")
    page.say(f"  logs      {escape(shown(place.logs))}")


def _hoopguard(stage: Stage, command: str) -> str:
    """Return a command as one would type it here."""
    policy = stage.installation.policy
    there = Path.cwd() == PROJECT and policy.parent == PROJECT
    return f"{typed(Path(HOOPGUARD))} {command}" + ("" if there else f" --policy {typed(policy)}")


def facts(stage: Stage) -> dict[str, Any]:
    """Return the same for a script."""
    tokens = _tokens(stage)
    place = stage.installation
    return {
        "base_url": f"{stage.reverse_url}/v1",
        "https_proxy": f"http://{stage.forward}",
        "ca_bundle": str(place.certs / BUNDLE_FILE),
        "tokens": tokens,
        "policy": str(place.policy),
        "state": str(place.state),
        "logs": {name: str(log) for name, log in stage.logs.items()},
    }
