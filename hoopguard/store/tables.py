"""The tables, in SQL that SQLite and PostgreSQL both understand."""

from typing import Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

SCHEMA_VERSION: Final = 1
"""Goes up by one with every change of a table; a file of another version is not opened."""

metadata: Final = MetaData()

schema_version: Final = Table("schema_version", metadata, Column("version", Integer, nullable=False))

approvals: Final = Table(
    "approvals",
    metadata,
    # Ids are random and clocks may stand still; the serial says which of two approvals is the later.
    Column("serial", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("principal", JSON, nullable=False),
    Column("connection", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("preview", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("expires_s", Float, nullable=False),
    Column("grant_s", Float),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    CheckConstraint("state IN ('pending', 'approved', 'denied', 'expired', 'cancelled')", name="known_state"),
)

_pending = text("state = 'pending'")
Index(
    "one_pending_per_request",
    approvals.c.digest,
    approvals.c.rule,
    approvals.c.issuer,
    approvals.c.subject,
    unique=True,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
Index("approvals_by_digest", approvals.c.digest, approvals.c.rule)
Index("approvals_by_asker", approvals.c.issuer, approvals.c.subject, approvals.c.rule)
Index("approvals_by_state", approvals.c.state, approvals.c.expires_at)

decisions: Final = Table(
    "decisions",
    metadata,
    Column("approval_id", ForeignKey(approvals.c.id), primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Float, nullable=False),
    CheckConstraint("verdict IN ('approve', 'deny')", name="known_verdict"),
)

grants: Final = Table(
    "grants",
    metadata,
    Column("approval_id", ForeignKey(approvals.c.id), primary_key=True),
    Column("granted_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("seconds", Float),
    Column("used_at", Float),
    Column("used_by", Text),
)
