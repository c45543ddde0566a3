"""``hoopguard check --as``: may this caller use that model, and which line of the policy decides?"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hoopguard.cli.output import fail, print_json, print_rows, say

if TYPE_CHECKING:
    from hoopguard.identity.principal import Principal
    from hoopguard.policy.model import Allow, Connection, Issuer, Policy


@dataclass(frozen=True, slots=True)
class Question:
    """Who would ask for what, as the command line says it; an empty name stands for what the policy has."""

    subject: str
    groups: tuple[str, ...] = ()
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    issuer: str = ""
    connection: str = ""
    route: str = ""
    model: str = ""


def read_claims(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return claims by name from texts such as ``repository=acme/app``; one given twice has two values."""
    claims: dict[str, tuple[str, ...]] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not name or not sign:
            fail(f"expected --claim NAME=VALUE, not {each!r}")
        claims[name] = (*claims.get(name, ()), value)
    return claims


def explain(policy: "Policy", question: Question, *, as_json: bool) -> bool:
    """Print for each connection whether the gateway would allow it and by which line; tell whether any would."""
    issuer = _issuer(policy, question)
    principal = _principal(question, issuer)
    answers = [_answer(each, principal, question) for each in _connections(policy, question)]
    wrong = _contradiction(issuer, question)
    if wrong:
        answers = [{**each, "allowed": False, "decides": None, "reason": wrong} for each in answers]
    if as_json:
        who = {"subject": principal.subject, "issuer": principal.issuer, "groups": sorted(principal.groups)}
        print_json({**who, "claims": question.claims, "connections": answers})
    else:
        _show(principal, answers)
    return any(each["allowed"] for each in answers)


def _issuer(policy: "Policy", question: Question) -> "Issuer | None":
    """Return the issuer that is named, or the only one there is."""
    if not question.issuer:
        return policy.issuers[0] if len(policy.issuers) == 1 else None
    found = next((each for each in policy.issuers if each.name == question.issuer), None)
    if found is None:
        fail(f"the policy has no issuer {question.issuer!r}; it has {', '.join(i.name for i in policy.issuers)}")
    return found


def _principal(question: Question, issuer: "Issuer | None") -> "Principal":
    from hoopguard.identity.principal import Principal

    name, kind = (issuer.name, issuer.kind) if issuer else ("", "person")
    groups = frozenset((*question.groups, *(issuer.groups if issuer else ())))
    return Principal(question.subject, name, kind, groups, "", 0.0, proven=question.claims)


def _contradiction(issuer: "Issuer | None", question: Question) -> str:
    """Return why such a token would not even be taken; what is not said of it is taken for granted."""
    from hoopguard.identity.claims import unmet

    stated = {name: glob for name, glob in (issuer.require if issuer else {}).items() if name in question.claims}
    name = unmet(question.claims, stated)
    return "" if name is None or issuer is None else f"Issuer {issuer.name!r} requires {name} = {stated[name]!r}."


def _connections(policy: "Policy", question: Question) -> "list[Connection]":
    found = [each for each in policy.connections if question.connection in ("", each.name)]
    if not found:
        names = ", ".join(each.name for each in policy.connections)
        fail(f"the policy has no connection {question.connection!r}; it has {names}")
    routed = [each for each in found if not question.route or question.route in each.routes]
    if not routed:
        listed = ", ".join(dict.fromkeys(route for each in found for route in each.routes))
        fail(f"no such connection has the route {question.route!r}; there are {listed}")
    return routed


def _answer(connection: "Connection", principal: "Principal", question: Question) -> dict[str, Any]:
    from hoopguard.identity.permissions import lacks, permit

    route = question.route or connection.routes[0]
    model = _model(route, question.model)
    permission = permit(connection, principal, route, model)
    lines = [
        {"key": _key(connection, number), "lacks": lacks(line, principal, route, model), "says": _said(line)}
        for number, line in enumerate(connection.allow)
    ]
    return {
        "connection": connection.name,
        "route": route,
        "model": model,
        "allowed": permission.allowed,
        "decides": None if permission.line is None else _key(connection, permission.line),
        "reason": permission.reason,
        "lines": lines,
    }


def _model(route: str, model: str) -> str | None:
    """Return the model as the gateway would see it; what names none where it could, may need a line for all."""
    from hoopguard.payload.formats import format_of

    wire = format_of(route)
    could_name = wire.has_body and "model" in wire.request.table
    if model and not (could_name or wire.live or "{model}" in wire.path):
        return None
    return model or ("" if could_name else None)


def _key(connection: "Connection", number: int) -> str:
    """Write a line's place as errors of the policy do."""
    return f'connection "{connection.name}" · allow[{number}]'


def _said(line: "Allow") -> dict[str, Any]:
    return line.model_dump(exclude_unset=True)


def _show(principal: "Principal", answers: list[dict[str, Any]]) -> None:
    groups = ", ".join(sorted(principal.groups)) or "none"
    say(f"{principal.subject} of {principal.issuer or 'any issuer'}, groups: {groups}")
    for answer in answers:
        model = f" of model {answer['model']}" if answer["model"] else ""
        verdict = f"allowed by {answer['decides']}" if answer["allowed"] else f"refused: {answer['reason']}"
        say(f"{answer['route']}{model} on {answer['connection']}: {verdict}")
        print_rows(("line", "decision", "what it says"), _rows(answer))


def _rows(answer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for line in answer["lines"]:
        if line["key"] == answer["decides"]:
            decision = "decides"
        else:
            decision = "would allow it" if line["lacks"] is None else f"no: {line['lacks']}"
        said = ", ".join(f"{name} = {_toml(value)}" for name, value in line["says"].items())
        yield line["key"], decision, said


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(name)} = {json.dumps(each)}" for name, each in value.items())
        return f"{{ {pairs} }}"
    return json.dumps(value)
