"""What a principal may do on a connection: which models, over which routes."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from hoopguard.identity.principal import Principal
from hoopguard.policy.model import Allow, Connection


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether something is allowed, and if not, a reason that can be shown to the caller."""

    allowed: bool
    reason: str = ""


def permit(connection: Connection, principal: Principal, route: str, model: str | None) -> Permission:
    """Decide by the connection's ``allow`` lines; what no line allows is refused.

    ``model`` is ``None`` for a route that names none, such as the list of models; a line that
    allows the route is then enough.
    """
    mine = [line for line in connection.allow if _concerns(line, principal)]
    if not mine:
        return Permission(False, f"{principal.subject} may not use the connection {connection.name!r}.")
    on_route = [line for line in mine if _any(line.routes, route)]
    if not on_route:
        return Permission(False, f"{principal.subject} may not use the route {route!r} of {connection.name!r}.")
    if model is None or any(_any(line.models, model) for line in on_route):
        return Permission(True)
    return Permission(False, f"{principal.subject} may not use the model asked for of {connection.name!r}.")


def _concerns(line: Allow, principal: Principal) -> bool:
    return "*" in line.groups or not principal.groups.isdisjoint(line.groups) or _any(line.subjects, principal.subject)


def _any(patterns: Iterable[str], value: str) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)
