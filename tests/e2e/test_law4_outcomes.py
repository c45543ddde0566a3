"""Law 4: whatever happens to caller, model, disk or gateway, each exchange has exactly one outcome."""

import contextlib
import json
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import (
    CHAT,
    Site,
    chat,
    chat_bytes,
    error_of,
    events_of,
    open_socket,
    read_until,
    refused,
    status_of,
    streamed_text,
    wait_for,
)


@pytest.fixture(scope="module")
def _rough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("rough")) as site:
        site.write_policy(answer_timeout="2s")
        with site.balanced():
            yield site


@pytest.fixture
def rough(_rough: Site) -> Site:
    _rough.model.forget()
    return _rough


def begin(site: Site, body: bytes) -> bytes:
    head = site.head(content_type="application/json", connection="keep-alive")
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def only_new_outcome(site: Site, before: int) -> str:
    """Return the outcome of the one exchange that was recorded since."""
    wait_for(lambda: len([e for e in site.ledger()[before:] if e["type"] == "outcome"]) == 1, "an outcome")
    site.assert_books_balance()
    return str(next(e for e in site.ledger()[before:] if e["type"] == "outcome")["data"]["outcome"])


# ── the caller ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_caller_that_hangs_up_before_the_body_is_through(site: Site) -> None:
    """Half a request is cancelled, and nothing reaches the model."""
    before = len(site.ledger())
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, chat_bytes())[:-10])
    assert only_new_outcome(site, before) == "cancelled"
    assert site.seen == []


def test_a_caller_that_hangs_up_while_held(site: Site) -> None:
    """Hanging up while held withdraws the question: cancelled, and the model is never asked."""
    before = len(site.ledger())
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, chat_bytes("to production, hang-up")))
        wait_for(lambda: "waits for approval" in site.log, "it is held")
        pending = json.loads(site.hoopguard("approvals", "list", "--json").stdout)
        assert any("hang-up" in str(each) for each in pending)
    assert only_new_outcome(site, before) == "cancelled"
    assert site.seen == []
    pending = json.loads(site.hoopguard("approvals", "list", "--json").stdout)
    assert not any("hang-up" in str(each) for each in pending)


def test_a_caller_that_hangs_up_while_the_model_thinks(site: Site) -> None:
    """Hanging up on a silent model is cancelled, and the model's connection is closed."""
    before = len(site.ledger())
    site.model.behave("hang")
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, chat_bytes()))
        wait_for(lambda: site.seen, "the model is asked")
    assert only_new_outcome(site, before) == "cancelled"
    wait_for(lambda: site.seen[0].outcome == "hung_up", "the model is left alone")


def test_a_caller_that_hangs_up_mid_stream(site: Site) -> None:
    """Hanging up in the middle of a stream is cancelled, with what was said until then on record."""
    before = len(site.ledger())
    site.model.behave("hang_mid_stream", after=20)
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, chat_bytes("count to 100", stream=True)))
        read_until(connection, b"data: ")
    assert only_new_outcome(site, before) == "cancelled"
    wait_for(lambda: site.seen[0].outcome == "hung_up", "the model is left alone")


def test_a_caller_that_hangs_up_after_its_answer(site: Site) -> None:
    """Hanging up once answered changes nothing: allowed."""
    before = len(site.ledger())
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, chat_bytes()))
        read_until(connection, b"usage")
    assert only_new_outcome(site, before) == "allowed"


# ── the model ───────────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN = {
    "die": ("hoopguard_model_unreachable", "failed"),
    "garbage": ("hoopguard_bad_answer", "failed"),
    "garbage_http": ("hoopguard_model_unreachable", "failed"),
    "truncated_json": ("hoopguard_bad_answer", "failed"),
    "trailing": ("hoopguard_bad_answer", "failed"),
    "dup_keys": ("hoopguard_bad_answer", "failed"),
    "invalid_utf8": ("hoopguard_bad_answer", "failed"),
    "nan": ("hoopguard_bad_answer", "failed"),
    "deep": ("hoopguard_bad_answer", "failed"),
    "not_an_object": ("hoopguard_bad_answer", "failed"),
    "wrong_type": ("hoopguard_bad_answer", "failed"),
    "unknown_encoding": ("hoopguard_bad_answer", "failed"),
    "die_mid_stream": ("hoopguard_model_unreachable", "failed"),
    "two_lengths": ("hoopguard_model_unreachable", "failed"),
    "redirect": ("hoopguard_bad_answer", "failed"),
    "upgrade": ("hoopguard_bad_answer", "failed"),
}


@pytest.mark.parametrize("mode", BROKEN)
def test_a_broken_answer_is_502(site: Site, mode: str) -> None:
    """An answer that cannot be read whole is 502 in the API's shape; none of it goes out."""
    site.model.behave(mode)
    response = site.ask("who is the customer")
    code, outcome = BROKEN[mode]
    if mode == "not_an_object" and response.status_code == 200:
        assert "ada" not in response.text
        return
    exchange = refused(response, 502, code)
    assert "ada.lovelace" not in response.text
    assert site.outcome(exchange)["outcome"] == outcome
    assert site.ask().status_code == 200


def test_an_error_of_the_models_is_passed_on(site: Site) -> None:
    """A model's own JSON error comes through with its status, masked like any answer."""
    site.model.behave("status", status=429)
    response = site.ask()
    assert response.status_code == 429
    assert site.outcome(response.headers["hoopguard-exchange"])["outcome"] == "allowed"


def test_trailers_do_not_come_through(site: Site) -> None:
    """A model's trailers, which nobody inspects, are not passed on."""
    for stream in (False, True):
        site.model.behave("trailers")
        body = chat_bytes("hello", stream=stream)
        head = site.head(content_type="application/json") + b"content-length: %d\r\n\r\n" % len(body)
        assert b"ada.lovelace" not in site.raw(head + body)


BROKEN_STREAMS = [
    "die_mid_stream",
    "garbage",
    "truncated_json",
    "trailing",
    "invalid_utf8",
    "nan",
    "deep",
    "not_an_object",
]


@pytest.mark.parametrize("mode", BROKEN_STREAMS)
def test_a_stream_that_breaks_ends_with_an_error_event(site: Site, mode: str) -> None:
    """A stream that breaks in the middle ends with the API's error event, and never with ``[DONE]``."""
    site.model.behave(mode, after=4)
    response = site.ask("count to 100", stream=True)
    assert response.status_code == 200
    last = events_of(response.text)[-1]
    assert last["error"]["code"] == "hoopguard_stream_failed", response.text[-600:]
    assert "[DONE]" not in response.text
    assert "50" not in streamed_text(response.text.partition('data: {"error"')[0])
    assert site.outcome(response.headers["hoopguard-exchange"])["outcome"] == "failed"


def test_a_streamed_event_is_sent_as_it_was_parsed(site: Site) -> None:
    """An event with a key twice reaches the caller with the one value that was inspected."""
    site.model.behave("dup_keys", after=4)
    response = site.ask("count to 100", stream=True)
    assert "harmless" not in response.text
    assert all(line.count('"choices"') <= 1 for line in response.text.split("\n"))


@pytest.mark.parametrize("mode", ["wrong_type", "encoded_gzip", "unknown_encoding", "die", "redirect"])
def test_a_stream_that_never_begins_is_502(site: Site, mode: str) -> None:
    """A stream in a form that cannot be inspected does not begin."""
    site.model.behave(mode)
    response = site.ask("count to 100", stream=True)
    assert response.status_code == 502
    error_of(response)


def test_a_model_that_is_down_is_502(tmp_path: Path) -> None:
    """No model at its address: 502, recorded; once it is up it is asked again."""
    with Site(tmp_path) as site:
        site.write_policy()
        site.start()
        site.model.stop()
        exchange = refused(site.ask(), 502, "hoopguard_model_unreachable")
        assert site.outcome(exchange)["outcome"] == "failed"
        site.model.start()
        assert site.ask().status_code == 200
        site.assert_books_balance()


def test_a_model_that_hangs_is_504(rough: Site) -> None:
    """A model silent for longer than ``answer_timeout`` is 504, and its connection is closed."""
    rough.model.behave("hang")
    exchange = refused(rough.ask(), 504, "hoopguard_model_timeout")
    assert rough.outcome(exchange)["outcome"] == "failed"
    wait_for(lambda: rough.seen[0].outcome == "hung_up", "the model is left alone")


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_hangs_midway_is_ended(rough: Site, stream: bool) -> None:
    """Silence in the middle of an answer ends it: 504, or an error event in the stream."""
    rough.model.behave("hang_mid_stream")
    response = rough.ask("count to 100", stream=stream)
    if stream:
        assert events_of(response.text)[-1]["error"]["code"] == "hoopguard_stream_failed"
    else:
        refused(response, 504, "hoopguard_model_timeout")
    assert rough.outcome(response.headers["hoopguard-exchange"])["outcome"] == "failed"


# ── the disk ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("durability", ["flush", "fsync"])
def test_a_full_disk_refuses_and_recovers(tmp_path: Path, durability: str) -> None:
    """What cannot be recorded is not sent (503); an outcome that cannot be recorded withholds the answer."""
    with Site(tmp_path) as site:
        site.put_policy(site.write_policy().replace('"flush"', f'"{durability}"'))
        site.start()
        while (site.state / "ledger" / "ledger.jsonl").stat().st_size < len(site.log) + 6_000:
            assert site.ask().status_code == 200
        asked = len(site.seen)
        with full_disk(site, spare=100):
            refused(site.ask(), 503, "hoopguard_not_recorded")
            assert len(site.seen) == asked
        assert site.ask().status_code == 200
        intent = sum(len(json.dumps(e)) for e in site.ledger() if e["type"] == "intent") // (asked + 1)
        with full_disk(site, spare=intent + 200):
            response = site.ask("who is the customer")
            assert response.status_code == 503, response.text
            assert "EMAIL" not in response.text
            error_of(response)
        assert site.ask().status_code == 200
        site.stop()
        site.assert_books_balance()
        site.verify()


@contextlib.contextmanager
def full_disk(site: Site, spare: int) -> Iterator[None]:
    """Let no file of the gateway's grow beyond the ledger's size and a little."""
    size = (site.state / "ledger" / "ledger.jsonl").stat().st_size + spare
    resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


# ── the gateway ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_gateway_that_ends_in_mid_request(tmp_path: Path, how: str) -> None:
    """After ``kill -9`` or SIGTERM in the middle of requests, the next start leaves every intent one outcome."""
    with Site(tmp_path) as site:
        site.write_policy()
        site.start()
        assert site.ask().status_code == 200
        site.model.behave("hang", times=2)
        site.model.behave("hang_mid_stream", times=2)
        callers = [threading.Thread(target=_ask_quietly, args=(site, bool(n % 2))) for n in range(4)]
        for caller in callers:
            caller.start()
        wait_for(lambda: len(site.seen) == 5, "all are under way")
        if how == "kill":
            site.running.kill()
        else:
            site.running.stop()
        for caller in callers:
            caller.join(30)
        site.start()
        assert site.ask().status_code == 200
        site.assert_books_balance()
        outcomes = [entry["data"]["outcome"] for entry in site.ledger() if entry["type"] == "outcome"]
        assert outcomes.count("allowed") == 2
        assert len(outcomes) == 6
        site.verify()


def _ask_quietly(site: Site, stream: bool) -> None:
    with contextlib.suppress(httpx.HTTPError), site.client() as client:
        client.post(CHAT, json=chat("count to 9", stream=stream))


def test_many_callers_at_once_balance(site: Site) -> None:
    """Twenty callers with all kinds of luck leave as many intents as outcomes."""
    before = len(site.ledger())
    for mode in ("die", "garbage", "hang_mid_stream", "slow"):
        site.model.behave(mode)
    threads = [threading.Thread(target=_impatient, args=(site, n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    def balanced() -> bool:
        kinds = [entry["type"] for entry in site.ledger()[before:]]
        return kinds.count("intent") == kinds.count("outcome") == 20

    wait_for(balanced, "all outcomes are there")
    site.assert_books_balance()


def _impatient(site: Site, number: int) -> None:
    prompt = "banana" if number % 5 == 0 else f"count to {number}"
    body = chat_bytes(prompt, stream=number % 2 == 0)
    with open_socket(site.port) as connection:
        connection.sendall(begin(site, body))
        if number % 3 == 0:
            time.sleep(0.05)
        else:
            connection.settimeout(1.5)
            with contextlib.suppress(OSError):
                assert status_of(connection.recv(65_536)) > 0
