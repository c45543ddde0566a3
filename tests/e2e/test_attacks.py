"""What an outside attack once found, held."""

import json
import re
from pathlib import Path

import pytest
from harness import Site, chat, open_socket, read_until, refused, status_of


def _resident_kb(pid: int) -> int:
    """Return the memory that a process holds (``proc_pid_status(5)``)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_a_strangers_large_body_is_not_waited_for(site: Site) -> None:
    """Who may not ask is told so before all of the body has come."""
    head = site.head(token="nobody", content_type="application/json", content_length="1500000")
    with open_socket(site.port) as connection:
        connection.sendall(head + b"\r\n" + b"x" * 80_000)
        assert status_of(read_until(connection, b"\r\n\r\n")) == 401


def test_refused_requests_leave_nothing_in_memory(site: Site) -> None:
    """A refusal is forgotten with its body; memory does not grow by what was refused."""
    body = json.dumps(chat("-----BEGIN PRIVATE KEY----- " + "x" * 400_000)).encode()
    for _ in range(10):
        site.send(body)
    before = _resident_kb(site.pid)
    for _ in range(60):
        refused(site.send(body), 403, "hoopguard_blocked")
    assert _resident_kb(site.pid) - before < 15_000


@pytest.mark.parametrize("name", ["user-agent", "tracestate", "traceparent", "accept", "x-anything"])
def test_a_header_carries_nothing_to_the_model(site: Site, name: str) -> None:
    """The model gets the gateway's own headers, and no text of the caller's in them."""
    site.send(json.dumps(chat("hello")).encode(), **{name: "ada@example.com"})
    assert "ada@example.com" not in str(site.seen[-1].headers)


def test_a_trace_goes_on(site: Site) -> None:
    """A well-formed ``traceparent`` is nobody's data, and operators need it."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    site.send(json.dumps(chat("hello")).encode(), traceparent=trace)
    assert dict(site.seen[-1].headers)["traceparent"] == trace


def test_what_was_left_out_of_a_preview_is_said(site: Site) -> None:
    """Reviewers see what the rule matched, and that there is more."""
    content = "go to production " + "y" * 5_000
    answer = site.send(json.dumps(chat(content, user="x" * 5_000)).encode(), prefer="respond-async")
    [approval] = answer.json()["error"]["hoopguard"]["approval"]
    shown = json.loads(site.hoopguard("approvals", "show", approval, "--json").stdout)["preview"]
    assert shown.startswith("go to production")
    assert "more characters" in shown


def test_more_values_than_anybody_needs_are_refused(site: Site) -> None:
    """Millions of empty values cost nothing to send; they are refused before they cost anything to read."""
    body = json.dumps({**chat("hello"), "z": [""] * 400_000}).encode()
    answer = site.send(body)
    refused(answer, 400, "hoopguard_bad_body")
    assert "values" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "more", [{"metadata": {"ada@example.com": "x"}}, {"user": "u", "x": [{"4111111111111111": 1}]}]
)
def test_personal_data_in_a_key_is_refused(site: Site, more: dict[str, object]) -> None:
    """A key cannot be masked without changing what the body means."""
    refused(site.send(json.dumps({**chat("hello"), **more}).encode()), 400, "hoopguard_uninspectable")
    assert not site.seen
