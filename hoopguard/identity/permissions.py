"""What a principal may do on a connection: which models, over which routes."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from hoopguard.identity.account_keys import KEY_PREFIX
from hoopguard.identity.claims import unmet
from hoopguard.identity.principal import Principal
from hoopguard.policy.model import Allow, Connection


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether something is allowed, by which ``allow`` line, and if not, a reason that can be shown to the caller."""

    allowed: bool
    reason: str = ""
    line: int | None = None


def permit(connection: Connection, principal: Principal, route: str, model: str | None) -> Permission:
    """Decide by the connection's ``allow`` lines; what no line allows is refused.

    ``model`` is ``None`` for a route that names none, such as the list of models; a line that
    allows the route is then enough.
    """
    lacking = [lacks(line, principal, route, model) for line in connection.allow]
    if None in lacking:
        return Permission(True, line=lacking.index(None))
    who, where = principal.subject, connection.name
    if "models" in lacking:
        return Permission(False, f"{who} may not use the model asked for of {where!r}.")
    if "routes" in lacking:
        return Permission(False, f"{who} may not use the route {route!r} of {where!r}.")
    return Permission(False, f"{who} may not use the connection {where!r}.")


def lacks(line: Allow, principal: Principal, route: str, model: str | None) -> str | None:
    """Return the key of an ``allow`` line for which it does not allow something; ``None`` if it does."""
    if line.issuers and principal.issuer not in line.issuers:
        return "issuers"
    if not _names(line, principal):
        return "groups" if line.groups else "subjects"
    claim = unmet(principal.proven, line.require)
    if claim is not None:
        return f"require.{claim}"
    if not _any(line.routes, route):
        return "routes"
    if model is None:
        return None
    # A key put in the wrong place would be sent on and recorded as a model's name.
    return None if KEY_PREFIX not in model and _any(line.models, model) else "models"


def _names(line: Allow, principal: Principal) -> bool:
    if not line.groups and not line.subjects:
        return True
    return "*" in line.groups or not principal.groups.isdisjoint(line.groups) or _any(line.subjects, principal.subject)


def _any(patterns: Iterable[str], value: str) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)
