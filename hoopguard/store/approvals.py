"""Reading and writing approvals, decisions and grants, inside a transaction of the caller's."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from hoopguard.store.records import Approval, Decision, Grant, State
from hoopguard.store.tables import approvals, decisions, grants

_COLUMNS = [column for column in approvals.c if column.name != "serial"]


def add(connection: Connection, approval: Approval) -> None:
    """Store a new approval."""
    values = asdict(approval)
    del values["decisions"], values["grant"]
    connection.execute(insert(approvals).values(values))


def find(connection: Connection, approval_id: str) -> Approval | None:
    """Return the approval of this id."""
    return _first(connection, select(*_COLUMNS).where(approvals.c.id == approval_id))


def latest(connection: Connection, *, digest: str, rule: str, issuer: str, subject: str) -> Approval | None:
    """Return the last approval that this caller asked for exactly this request under this rule."""
    asked = select(*_COLUMNS).where(
        approvals.c.digest == digest,
        approvals.c.rule == rule,
        approvals.c.issuer == issuer,
        approvals.c.subject == subject,
    )
    return _first(connection, asked.order_by(approvals.c.serial.desc()).limit(1))


def timed(
    connection: Connection, *, rule: str, issuer: str, subject: str, connection_name: str, model: str, now: float
) -> tuple[Approval, ...]:
    """Return the approvals whose grant for a time has not run out, the latest first."""
    granted = (
        select(*_COLUMNS)
        .join(grants, grants.c.approval_id == approvals.c.id)
        .where(
            approvals.c.state == "approved",
            approvals.c.rule == rule,
            approvals.c.issuer == issuer,
            approvals.c.subject == subject,
            approvals.c.connection == connection_name,
            approvals.c.model == model,
            grants.c.seconds.is_not(None),
            grants.c.expires_at > now,
        )
    )
    return _all(connection, granted.order_by(approvals.c.serial.desc()))


def listed(connection: Connection, states: Sequence[State]) -> tuple[Approval, ...]:
    """Return the approvals stored in one of these states, the oldest first."""
    return _all(connection, select(*_COLUMNS).where(approvals.c.state.in_(states)).order_by(approvals.c.serial))


def due(connection: Connection, now: float) -> tuple[Approval, ...]:
    """Return the approvals that are still pending although their time is over."""
    overdue = select(*_COLUMNS).where(approvals.c.state == "pending", approvals.c.expires_at <= now)
    return _all(connection, overdue.order_by(approvals.c.serial))


def end(connection: Connection, approval_id: str, state: State, at: float) -> bool:
    """Take an approval out of ``pending``; return False if it was no longer pending."""
    pending = (approvals.c.id == approval_id) & (approvals.c.state == "pending")
    return connection.execute(update(approvals).where(pending).values(state=state, ended_at=at)).rowcount == 1


def add_decision(connection: Connection, decision: Decision) -> None:
    """Store a reviewer's vote; a second one of the same reviewer breaks the table's key."""
    connection.execute(insert(decisions).values(asdict(decision)))


def add_grant(connection: Connection, grant: Grant) -> None:
    """Store what an approval lets through."""
    connection.execute(insert(grants).values(asdict(grant)))


def spend(connection: Connection, approval_id: str, *, at: float, by: str) -> bool:
    """Spend a grant that holds once; return False if it was spent already."""
    unspent = (grants.c.approval_id == approval_id) & grants.c.seconds.is_(None) & grants.c.used_at.is_(None)
    return connection.execute(update(grants).where(unspent).values(used_at=at, used_by=by)).rowcount == 1


def _first(connection: Connection, query: Any) -> Approval | None:
    row = connection.execute(query).mappings().first()
    return None if row is None else _approvals(connection, [row])[0]


def _all(connection: Connection, query: Any) -> tuple[Approval, ...]:
    return _approvals(connection, connection.execute(query).mappings().all())


def _approvals(connection: Connection, rows: Sequence[RowMapping]) -> tuple[Approval, ...]:
    votes: dict[str, list[Decision]] = {row["id"]: [] for row in rows}
    granted: dict[str, Grant] = {}
    ids = list(votes)
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        cast = select(decisions).where(decisions.c.approval_id.in_(some)).order_by(decisions.c.at)
        for vote in connection.execute(cast).mappings():
            votes[vote["approval_id"]].append(Decision(**vote))
        for grant in connection.execute(select(grants).where(grants.c.approval_id.in_(some))).mappings():
            granted[grant["approval_id"]] = Grant(**grant)
    return tuple(
        Approval(
            **{**row, "reasons": tuple((name, message) for name, message in row["reasons"])},
            decisions=tuple(votes[row["id"]]),
            grant=granted.get(row["id"]),
        )
        for row in rows
    )
