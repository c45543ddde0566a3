"""``hoopguard certs``: make the gateway's CA, look at it, and tell a shell to trust it."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hoopguard.cli.output import (
    DEFAULT_POLICY,
    EXIT_FOUND,
    JsonOption,
    PolicyOption,
    complain,
    fail,
    print_json,
    say,
)


class Shell(StrEnum):
    """The shells whose language ``certs env`` speaks."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"


ForceOption = Annotated[bool, typer.Option("--force", help="Replace the CA that is there; nobody trusts the new one.")]
DaysOption = Annotated[int, typer.Option("--days", min=1, max=3650, help="How long the CA is valid.")]
ShellOption = Annotated[Shell, typer.Option("--shell", help="Whose language to speak.")]

# Each variable, and whether it replaces a client's trust store (then it gets the system's roots as well) or adds to it.
_REPLACES = {
    "CURL_CA_BUNDLE": True,
    "SSL_CERT_FILE": True,
    "REQUESTS_CA_BUNDLE": True,
    "NODE_EXTRA_CA_CERTS": False,
    "GIT_SSL_CAINFO": True,
}
_NOTES = """\
# curl; Python's ssl, httpx and the openai SDK; Python's requests; Node; git.
# And to go through the gateway, with your token where it says YOUR-TOKEN:
"""
_PROXY = "http://token:YOUR-TOKEN@localhost:8080"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    certs = typer.Typer(name="certs", help="The CA that lets the gateway speak for model hosts.", no_args_is_help=True)
    certs.command(epilog="Example: hoopguard certs init --days 90")(init)
    certs.command(epilog="Exit code 1: the CA is no good for this policy.")(show)
    certs.command(epilog='Example: eval "$(hoopguard certs env)"')(env)
    app.add_typer(certs)


def init(policy: PolicyOption = DEFAULT_POLICY, force: ForceOption = False, days: DaysOption = 365) -> None:
    """Make a CA that can speak for the policy's connection hosts and for nothing else."""
    from hoopguard.authority import CERT_FILE, AuthorityError, init_authority, utc_now

    folder, hosts = _folder_and_hosts(policy)
    try:
        authority = init_authority(folder, hosts, utc_now(), days, force=force)
    except AuthorityError as error:
        fail(str(error), error.hint)
    say(f"made a CA in {folder}, valid until {authority.not_after:%Y-%m-%d}; clients have to trust {CERT_FILE}")
    if hosts:
        say(f"it can speak for: {', '.join(hosts)}")
    else:
        say("no connection of the policy has hosts: this CA can speak for none, and HTTPS_PROXY will not work with it")


def show(policy: PolicyOption = DEFAULT_POLICY, as_json: JsonOption = False) -> None:
    """Show the CA, and check that it does for this policy."""
    from hoopguard.authority import Authority, AuthorityError, check_authority, load_authority, utc_now

    folder, hosts = _folder_and_hosts(policy)
    problem: AuthorityError | None = None
    authority: Authority
    try:
        authority = load_authority(folder)
    except AuthorityError as error:
        fail(str(error), error.hint)
    try:
        check_authority(authority, hosts, utc_now())
    except AuthorityError as error:
        problem = error
    facts: dict[str, Any] = {
        "folder": str(folder),
        "subject": authority.cert.subject.rfc4514_string(),
        "fingerprint": authority.fingerprint,
        "expires": authority.not_after.isoformat(),
        "permitted_hosts": list(authority.permitted_hosts),
        "unlisted_hosts": sorted(set(authority.permitted_hosts) - set(hosts)),
        "problem": str(problem) if problem else None,
    }
    _print_facts(facts, as_json=as_json)
    if problem is not None:
        if not as_json:
            complain(str(problem), problem.hint)
        raise typer.Exit(EXIT_FOUND)


def env(policy: PolicyOption = DEFAULT_POLICY, shell: ShellOption = Shell.SH) -> None:
    """Print what a shell needs so that curl, Python, Node and git trust the CA, and use the gateway."""
    from hoopguard.authority import BUNDLE_FILE, CERT_FILE, AuthorityError, load_authority

    folder, _ = _folder_and_hosts(policy)
    try:
        load_authority(folder)
    except AuthorityError as error:
        fail(str(error), error.hint)
    for variable, replaces in _REPLACES.items():
        typer.echo(assignment(shell, variable, str(folder / (BUNDLE_FILE if replaces else CERT_FILE))))
    # Comments come last: `eval $(…)` without quotes makes one line of it all.
    typer.echo(f"{_NOTES}# {assignment(shell, 'HTTPS_PROXY', _PROXY)}")


def assignment(shell: Shell, variable: str, value: str) -> str:
    """Write the line that sets an environment variable, whatever characters the value has."""
    if shell is Shell.FISH:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {variable} '{quoted}'"
    if shell is Shell.POWERSHELL:
        quoted = value.replace("'", "''")
        return f"$env:{variable} = '{quoted}'"
    return f"export {variable}={shlex.quote(value)}"


def _folder_and_hosts(policy: Path) -> tuple[Path, tuple[str, ...]]:
    from hoopguard.policy import load_policy

    loaded = load_policy(policy, secrets=False)
    return loaded.certs, tuple(host for connection in loaded.policy.connections for host in connection.hosts)


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    lines = {
        "folder": facts["folder"],
        "subject": facts["subject"],
        "SHA-256 fingerprint": facts["fingerprint"],
        "expires": facts["expires"],
        "can speak for": ", ".join(facts["permitted_hosts"]) or "no host",
        "not in the policy": ", ".join(facts["unlisted_hosts"]),
    }
    for name, value in lines.items():
        if value:
            say(f"{name + ':':<21}{value}")
