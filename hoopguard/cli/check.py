"""``hoopguard check``: would the gateway start on this policy, and what may somebody do under it?"""

from typing import TYPE_CHECKING, Annotated

import typer

from hoopguard.cli.check_access import Question, explain, read_claims
from hoopguard.cli.output import (
    DEFAULT_POLICY,
    EXIT_FOUND,
    JsonOption,
    PolicyOption,
    fail,
    print_json,
    print_rows,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hoopguard.policy import LoadedPolicy
    from hoopguard.policy.masking import Mask
    from hoopguard.policy.model import Guardrail


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: hoopguard check --policy policy.toml --json")(check)


def check(
    policy: PolicyOption = DEFAULT_POLICY,
    as_json: JsonOption = False,
    subject: Annotated[
        str | None, typer.Option("--as", help="Say what this subject may do, and which line decides.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="With --as: a group of the subject's; repeatable.")] = None,
    claim: Annotated[list[str] | None, typer.Option(help="With --as: NAME=VALUE in the token; repeatable.")] = None,
    issuer: Annotated[str, typer.Option(help="With --as: who vouches; the only issuer if there is one.")] = "",
    connection: Annotated[str, typer.Option(help="With --as: one connection; all by default.")] = "",
    route: Annotated[str, typer.Option(help="With --as: the route; each connection's first by default.")] = "",
    model: Annotated[str, typer.Option(help="With --as: the model; without it, a request that names none.")] = "",
) -> None:
    """Read and check the policy exactly as the gateway would, and say what it governs, or what somebody may do."""
    loaded = _checked(policy)
    asked = Question(subject or "", tuple(group or ()), read_claims(claim or []), issuer, connection, route, model)
    if not subject and (subject is not None or asked != Question("")):
        fail("expected --as SUBJECT with what else is said of a request")
    if not subject:
        _describe(loaded, as_json=as_json)
    elif not explain(loaded.policy, asked, as_json=as_json):
        raise typer.Exit(EXIT_FOUND)


def _checked(file: "Path") -> "LoadedPolicy":
    from hoopguard.gateway import POLICY_CHECKS
    from hoopguard.policy import load_policy

    loaded = load_policy(file)
    for passes in POLICY_CHECKS:
        passes(loaded)
    return loaded


def _describe(loaded: "LoadedPolicy", *, as_json: bool) -> None:
    rules = loaded.policy
    warnings = [*_endless(rules.guardrails)] if rules.gateway.mode == "enforce" else []
    if as_json:
        print_json(
            {
                "file": str(loaded.file),
                "digest": loaded.digest,
                "mode": rules.gateway.mode,
                "connections": [
                    {"name": c.name, "upstream": c.upstream, "hosts": c.hosts, "routes": c.routes}
                    for c in rules.connections
                ],
                "issuers": [{"name": i.name, "url": i.url} for i in rules.issuers],
                "guardrails": [g.name for g in rules.guardrails],
                "approvals": [a.name for a in rules.approvals],
                "masks": [m.name for m in rules.masks],
                "warnings": warnings,
            }
        )
        return
    say(f"{loaded.file}: good (digest {loaded.digest[:12]}, mode {rules.gateway.mode})")
    rows = [("issuer", i.name, i.url) for i in rules.issuers]
    rows += [
        ("connection", c.name, f"{c.upstream} as {', '.join((*c.hosts, f'/{c.name}'))}") for c in rules.connections
    ]
    rows += [("guardrail", g.name, f"{g.action} on {g.on}") for g in rules.guardrails]
    rows += [
        ("approval", a.name, f"reviewers {', '.join((*a.reviewers, *a.reviewer_subjects, *a.local_users))}")
        for a in rules.approvals
    ]
    rows += [("mask", m.name, ", ".join([*sorted(m.resolved_entities), *_paths(m)])) for m in rules.masks]
    print_rows(("table", "name", "what it says"), rows)
    for warning in warnings:
        say(f"warning: {warning}")


def _endless(guardrails: "Iterable[Guardrail]") -> "Iterable[str]":
    """Yield a warning for each pattern for which a stream has to hold back all that it says."""
    from hoopguard.guardrail.sought import begins_anywhere

    for rule in guardrails:
        if rule.on == "request" or rule.action != "block" or rule.mode == "observe":
            continue
        for pattern in filter(begins_anywhere, rule.patterns):
            yield (
                f"guardrail {rule.name}: streamed answers end at max_held_chars, because nobody can tell how a match "
                f"of {pattern!r} begins; write it without \\Q…\\E, \\C, octal escapes and flags in its middle"
            )


def _paths(mask: "Mask") -> list[str]:
    return [path.source for path in mask.fields or ()]
