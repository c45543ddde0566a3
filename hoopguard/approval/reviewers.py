"""Who may decide: entitled by the policy, and not the one who asks."""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, Self

from hoopguard.policy.model import Approval as Rule

LOCAL: Final = "local user"
"""The issuer of users of this machine; the policy's issuers cannot be called so (no blanks in names)."""


class Verified(Protocol):
    """A verified principal, as far as this station cares (stations do not import each other)."""

    @property
    def subject(self) -> str:
        """Return the name that is unique within the issuer."""

    @property
    def issuer(self) -> str:
        """Return who vouches for it."""

    @property
    def kind(self) -> Literal["person", "service"]:
        """Return whether a human being stands behind it."""

    @property
    def groups(self) -> frozenset[str]:
        """Return the groups that the issuer says it is in."""

    def facts(self) -> dict[str, Any]:
        """Return what may be written down of it; never a token."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Someone who has proven who they are: with a token, or as a user of this machine."""

    subject: str
    issuer: str
    groups: frozenset[str] = frozenset()
    kind: Literal["person", "service"] = "person"

    @classmethod
    def verified(cls, principal: Verified) -> Self:
        """Take a principal whose token has been verified."""
        return cls(principal.subject, principal.issuer, principal.groups, principal.kind)

    @classmethod
    def local(cls, user: str) -> Self:
        """Take a user of this machine, by the name that the system gives for the process's user id."""
        return cls(user, LOCAL)


def is_entitled(reviewer: Reviewer, rule: Rule) -> bool:
    """Tell whether the rule lets this reviewer decide; a service never does: humans agree.

    A bare subject in ``reviewer_subjects`` is taken from every issuer; ``issuer:subject`` from one.
    """
    if reviewer.issuer == LOCAL:
        return reviewer.subject in rule.local_users
    if reviewer.kind != "person":
        return False
    names = {reviewer.subject, f"{reviewer.issuer}:{reviewer.subject}"}
    return bool(reviewer.groups.intersection(rule.reviewers) or names.intersection(rule.reviewer_subjects))


def same_person(issuer: str, subject: str, other_issuer: str, other_subject: str) -> bool:
    """Tell whether two identities have to be taken for one human being.

    Equal subjects are one person whoever vouches for them, in upper or lower case; a user of this
    machine is also whoever has that name before the ``@``. Wrong guesses refuse, they never allow.
    """
    one, other = _plain(subject), _plain(other_subject)
    if one == other:
        return True
    if LOCAL in (issuer, other_issuer):
        return one.partition("@")[0] == other.partition("@")[0]
    return False


def _plain(subject: str) -> str:
    return unicodedata.normalize("NFKC", subject).strip().casefold()
