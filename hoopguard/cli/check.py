"""``hoopguard check``: would the gateway start on this policy?"""

from typing import TYPE_CHECKING

import typer

from hoopguard.cli.output import DEFAULT_POLICY, JsonOption, PolicyOption, print_json, print_rows, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoopguard.policy.masking import Mask
    from hoopguard.policy.model import Guardrail


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: hoopguard check --policy policy.toml --json")(check)


def check(policy: PolicyOption = DEFAULT_POLICY, as_json: JsonOption = False) -> None:
    """Read and check the policy exactly as the gateway would, and say what it governs."""
    from hoopguard.gateway import POLICY_CHECKS
    from hoopguard.policy import load_policy

    loaded = load_policy(policy)
    for passes in POLICY_CHECKS:
        passes(loaded)
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
