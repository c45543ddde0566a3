"""Law 1: whatever breaks, nothing goes upstream, or out, that was not checked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import CHAT, Site, chat, error_of, events_of, refused, streamed_text, wait_for

from hoopguard.demo.stack import ADDONS

FAULTY = Path(__file__).with_name("faulty_addons.py")
REQUEST_HOOKS = [
    "identity.requestheaders",
    "identity.request",
    "guardrail.request",
    "approval.requestheaders",
    "approval.request",
    "masking.requestheaders",
    "masking.request",
    "recorder.request",
]
ANSWER_HOOKS = [
    "identity.responseheaders",
    "guardrail.responseheaders",
    "guardrail.response",
    "masking.responseheaders",
    "masking.response",
    "recorder.responseheaders",
    "recorder.response",
    "recorder.settle",
]
SECRET = "ada.lovelace@example.com"


class Faulty(Site):
    """A gateway whose stations can be broken while it runs."""

    def break_(self, fault: str) -> None:
        draft = self.folder / "fault.new"
        draft.write_text(fault)
        draft.replace(self.folder / "fault")

    def start_faulty(self, **env: str) -> None:
        self.break_("")
        self.start(script=FAULTY, env={"HG_E2E_FAULT": str(self.folder / "fault"), **env})


@pytest.fixture(scope="module")
def _faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with Faulty(tmp_path_factory.mktemp("faulty")) as site:
        site.write_policy()
        site.start_faulty()
        yield site
        site.break_("")
        site.stop()
        site.assert_books_balance()
        site.verify()


@pytest.fixture
def faulty(_faulty: Faulty) -> Iterator[Faulty]:
    _faulty.model.forget()
    yield _faulty
    _faulty.break_("")


@pytest.mark.parametrize("kind", ["ValueError", "RecursionError"])
@pytest.mark.parametrize("hook", REQUEST_HOOKS)
def test_a_bug_in_a_request_hook_sends_nothing_to_the_model(faulty: Faulty, hook: str, kind: str) -> None:
    """A station that raises before the model is asked makes a 503, and the next request is well again."""
    faulty.break_(f"{hook} {kind}")
    refused(faulty.ask(), 503, "hoopguard_failed")
    assert faulty.seen == []
    faulty.break_("")
    assert faulty.ask().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("hook", ANSWER_HOOKS)
def test_a_bug_in_an_answer_hook_keeps_the_answer_in(faulty: Faulty, hook: str, stream: bool) -> None:
    """A station that raises on the answer makes a 503, or a stream without anything unmasked in it."""
    faulty.break_(f"{hook} ValueError")
    response = faulty.ask("who is the customer", stream=stream)
    assert SECRET not in response.text
    buffered_only = hook in ("guardrail.response", "masking.response", "recorder.response")
    if not (stream and (buffered_only or hook == "recorder.settle")):
        refused(response, 503, "hoopguard_failed")
    assert len(faulty.seen) == 1
    faulty.break_("")
    assert faulty.ask().status_code == 200


@pytest.mark.parametrize("kind", ["CancelledError", "GeneratorExit", "SystemExit", "KeyboardInterrupt", "MemoryError"])
@pytest.mark.parametrize("hook", ["identity.requestheaders", "guardrail.request", "recorder.request"])
def test_an_exception_that_is_no_exception_refuses_too(faulty: Faulty, hook: str, kind: str) -> None:
    """What is not an ``Exception`` (a cancellation, an exit) is refused like any bug, and the gateway lives on."""
    faulty.break_(f"{hook} {kind}")
    refused(faulty.ask(), 503, "hoopguard_failed")
    assert faulty.seen == []
    faulty.break_("")
    assert faulty.ask().status_code == 200


@pytest.mark.parametrize("kind", ["ValueError", "RecursionError", "SystemExit", "CancelledError"])
def test_a_bug_in_a_stream_callback_ends_the_stream(faulty: Faulty, kind: str) -> None:
    """A stage that raises in the middle ends the stream with the API's error event; nothing follows it."""
    faulty.break_(f"stream {kind}")
    with faulty.client() as client:
        response = client.post(CHAT, json=chat("count to 30", stream=True))
        last = events_of(response.text)[-1]
        assert last["error"]["code"] == "hoopguard_stream_failed"
        assert "[DONE]" not in response.text
        assert "20" not in streamed_text(response.text.partition('data: {"error"')[0])
        exchange = response.headers["hoopguard-exchange"]
        assert last["error"]["hoopguard"]["exchange"] == exchange
        assert faulty.outcome(exchange)["outcome"] == "failed"
        faulty.break_("")
        assert client.post(CHAT, json=chat("hello")).status_code == 200


@pytest.mark.parametrize("station", ["identity", "guardrail", "approval", "masking", "recorder"])
def test_a_chain_without_a_station_refuses_everything(tmp_path: Path, station: str) -> None:
    """Without one of the five stamps the gate answers 503, and nothing goes upstream."""
    with Faulty(tmp_path) as site:
        site.write_policy()
        site.start_faulty(HG_E2E_MISSING=station)
        error_of(response := site.ask())
        assert response.status_code == 503
        assert site.seen == []


@pytest.mark.parametrize("edit", ["syntax error", "empty", "deleted", "another addon"])
def test_a_broken_addons_file_leaves_the_chain_in_place(tmp_path: Path, edit: str) -> None:
    """Whatever is saved over ``addons.py`` while it runs, traffic stays governed."""
    with Site(tmp_path) as site:
        site.write_policy()
        script = Path(shutil.copy(ADDONS, tmp_path / "addons.py"))
        site.start(script=script)
        assert site.ask().status_code == 200
        if edit == "deleted":
            script.unlink()
            wait_for(lambda: "addons.py" in site.log.rpartition(" governs ")[2], "mitmproxy noticed")
        else:
            bad = "class Other:\n    def request(self, flow):\n        flow.comment = 'x'\naddons = [Other()]\n"
            script.write_text({"syntax error": "def load(:\n", "empty": "", "another addon": bad}[edit])
            wait_for(lambda: "addons.py" in site.log.rpartition(" governs ")[2], "mitmproxy noticed")
        site.model.forget()
        refused(site.ask("a banana"), 403, "hoopguard_blocked")
        assert site.seen == []
        answer = site.ask("who is the customer")
        assert answer.status_code == 200
        assert SECRET not in answer.text
        assert site.ask(token="none").status_code == 401
        assert len(site.seen) == 1


def test_a_broken_policy_keeps_the_last_good_one(tmp_path: Path) -> None:
    """A broken edit leaves the policy in force and says so; a good one is in force on the next request."""
    with Site(tmp_path) as site:
        good = site.write_policy()
        site.start()
        for number, broken in enumerate(
            ["version = ", "version = 1\n[gatway]\n", good.replace("banana", "b", 1) + "x = 1"]
        ):
            site.put_policy(broken + "\n" * number)
            refused(site.ask("a banana"), 403, "hoopguard_blocked")
            assert site.log.count("policy NOT reloaded, the last good one stays in force") == number + 1
        site.policy.unlink()
        refused(site.ask("a banana"), 403, "hoopguard_blocked")
        assert site.seen == []
        site.put_policy(good.replace('"banana"', '"quince"'))
        assert site.ask("a banana").status_code == 200
        refused(site.ask("a quince"), 403, "hoopguard_blocked")
        site.put_policy(good)
        refused(site.ask("a banana"), 403, "hoopguard_blocked")
