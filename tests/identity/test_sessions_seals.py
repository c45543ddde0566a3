"""A server's session is its caller's: a seal on its id opens for nobody else."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hoopguard.exchange import Refused
from hoopguard.identity.sessions import SessionSeals
from hoopguard.payload import mcp

SEALS = SessionSeals()
NAMES = st.sampled_from(["docs", "mcp", "staff:ada", "staff:bob", "docs\0staff:ada", ""]) | st.text(max_size=20)
IDS = st.from_regex(re.compile(r"[A-Za-z0-9_.:~+/=-]{8,256}", re.ASCII), fullmatch=True)
WHOSE = st.tuples(NAMES, NAMES, IDS)


@given(WHOSE)
def test_a_caller_gets_at_a_session_by_what_they_were_told(whose: tuple[str, str, str]) -> None:
    """The server is told the id that it made."""
    connection, principal, session = whose
    assert SEALS.opened(connection, principal, SEALS.sealed(connection, principal, session)) == session


@given(WHOSE, WHOSE)
def test_no_other_caller_connection_or_id_opens_it(whose: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Whoever they are, and however their names would run together."""
    assume("\0".join(whose) != "\0".join(other))
    tag = SEALS.sealed(*whose).removeprefix(whose[2])
    with pytest.raises(Refused) as refused:
        SEALS.opened(other[0], other[1], other[2] + tag)
    assert (refused.value.status, refused.value.code) == (404, "hoopguard_unknown_session")


@given(st.text(max_size=60))
def test_an_id_that_was_never_given_out_is_nobodys(made_up: str) -> None:
    """However short it is, and whatever is in it."""
    with pytest.raises(Refused):
        SEALS.opened("docs", "staff:ada", made_up)


def test_another_gateway_does_not_know_a_session() -> None:
    """Nor the same one after a restart."""
    with pytest.raises(Refused):
        SessionSeals().opened("docs", "staff:ada", SEALS.sealed("docs", "staff:ada", "sess-0001"))


@given(st.from_regex(re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_.:~+/=-]{8,256}", re.ASCII), fullmatch=True))
def test_a_sealed_id_passes_as_one(session: str) -> None:
    """Also that of a server whose ids are as long as they may be."""
    assert mcp.FORMAT.headers[mcp.FORMAT.session_header].fullmatch(SEALS.sealed("docs", "staff:ada", session))
