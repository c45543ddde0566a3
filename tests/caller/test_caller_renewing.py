"""A token is renewed ahead of time, once for all who ask, and a source that fails does no harm before it has to."""

import asyncio
import threading
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.caller.renewing import RenewedToken, renew_at
from hoopguard.caller.tokens import NoTokenError, Token


@dataclass(frozen=True)
class Scripted:
    """A source that says what it is told to, or fails when it has nothing left; it can be made to hang."""

    answers: list[Token]
    asked: list[float] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    name: str = "script"
    variables: tuple[str, ...] = ()

    def absent(self) -> str:
        return ""

    def read(self) -> Token:
        self.asked.append(time.time())
        assert self.open.wait(30)
        if not self.answers:
            raise NoTokenError("the source is down")
        return self.answers.pop(0)


def token(name: str, expires_in: float, issued_ago: float = 0.0) -> Token:
    now = time.time()
    return Token(name, "script", {"exp": now + expires_in, "iat": now - issued_ago})


async def test_a_token_that_lasts_is_kept() -> None:
    source, said = Scripted([]), list[str]()
    renewed = RenewedToken(source, token("first", 3600), said.append)
    assert (await renewed.current()).value == "first"
    forever = RenewedToken(source, Token("opaque", "script", {}), said.append)
    assert (await forever.current()).value == "opaque"
    assert (source.asked, said) == ([], [])


async def test_nobody_waits_while_the_old_one_lasts() -> None:
    """The source hangs, and everybody gets the token that still is good; then the new one."""
    source, said = Scripted([token("second", 3600)]), list[str]()
    renewed = RenewedToken(source, token("first", 30, 3600), said.append)
    assert {(await renewed.current()).value for _ in range(5)} == {"first"}
    source.open.set()
    async with asyncio.timeout(30):
        while (await renewed.current()).value != "second":
            await asyncio.sleep(0.01)
    assert (len(source.asked), said) == (1, [])


async def test_all_wait_for_one_answer_once_it_has_expired() -> None:
    source, said = Scripted([token("second", 3600)]), list[str]()
    renewed = RenewedToken(source, token("first", -1, 3600), said.append)
    waiting = [asyncio.create_task(renewed.current()) for _ in range(20)]
    source.open.set()
    assert {(await each).value for each in waiting} == {"second"}
    assert len(source.asked) == 1


async def test_who_gives_up_waiting_does_not_take_the_answer_from_others() -> None:
    source = Scripted([token("second", 3600)])
    renewed = RenewedToken(source, token("first", -1, 3600), lambda _: None)
    hasty, patient = (asyncio.create_task(renewed.current()) for _ in range(2))
    await asyncio.sleep(0)
    hasty.cancel()
    source.open.set()
    assert (await patient).value == "second"
    with pytest.raises(asyncio.CancelledError):
        await hasty


async def test_a_source_that_fails_is_said_and_left_alone_for_a_while() -> None:
    """The old token goes on to the gateway, which says itself what it thinks of it."""
    source, said = Scripted([]), list[str]()
    source.open.set()
    renewed = RenewedToken(source, token("first", -1, 3600), said.append)
    assert {(await renewed.current()).value for _ in range(5)} == {"first"}
    assert said == ["no new token: the source is down"]
    assert len(source.asked) == 1


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_it_is_renewed_in_the_last_part_of_its_life(issued_at: float, life_s: float) -> None:
    """Never before four fifths of it, never later than a minute before its end if it lives for long."""
    due = renew_at(Token("x", "script", {"iat": issued_at, "exp": issued_at + life_s}), 0.0)
    assert due is not None
    assert issued_at + life_s * 0.79 <= due + 1e-3
    assert due <= issued_at + life_s
    if life_s > 300:
        assert due == pytest.approx(issued_at + life_s - 60)
