"""What a caller once got past the inspection of requests, held at a real gateway."""

import json
from typing import Any

import pytest
from oddities import EMAIL
from scripted import ScriptedSite

PHONE = "+14155550123"
KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
SAID = f"{EMAIL} likes it"
CHAT = "/openai/v1/chat/completions"


def icons(said: str) -> dict[str, Any]:
    client = {"name": "x", "version": "1", "icons": [{"src": said}]}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"clientInfo": client}}


def log_probabilities(said: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": "hi", "logprobs": said}
    return {"model": "llama", "input": [{"type": "message", "role": "assistant", "content": [part]}]}


REPEATS = [("/mcp/mcp", icons), ("/openai/v1/responses", log_probabilities)]


@pytest.mark.parametrize(("path", "body"), REPEATS)
def test_what_elsewhere_says_a_text_again_is_masked_and_judged(scripted: ScriptedSite, path: str, body: Any) -> None:
    """It reaches the server without personal data, and not at all with a word that is blocked."""
    assert scripted.post(path, body(SAID)).status_code == 200
    assert len(scripted.server.seen) == 1
    assert EMAIL not in scripted.sent
    blocked = scripted.post(path, body("a banana"))
    assert "hoopguard_blocked" in blocked.text
    assert len(scripted.server.seen) == 1
    scripted.assert_kept_nothing_of("a banana")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ollama/api/chat", {"model": "llama", "messages": [], "Model": "secret"}),
        (
            "/ollama/api/chat",
            {"model": "llama", "messages": [{"role": "user", "content": "", "Images": ["iVBOR"]}]},
        ),
        ("/ollama/api/generate", {"model": "llama", "prompt": "", "Context": [128_000, 882, 271]}),
        ("/ollama/api/show", {"model": "llama", "name": "secret"}),
        ("/ollama/api/show", {"name": "secret"}),
        ("/tgi/generate", {"inputs": "![](data:image/png;base64,iVBORw0KGgo=)What is this?"}),
    ],
)
def test_what_means_another_thing_to_the_server_is_refused(scripted: ScriptedSite, path: str, body: Any) -> None:
    """Another model, an image, or token ids, where nothing of the kind could be seen."""
    answer = scripted.post(path, body, "few", "ml")
    assert answer.status_code == 400
    assert scripted.server.seen == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/images/generations", {"prompt": "x"}),
        ("/openai/v1/rerank", {"query": "x", "documents": ["y"]}),
        ("/llamacpp/completion", {"prompt": "x"}),
    ],
)
def test_naming_no_model_is_not_naming_any(scripted: ScriptedSite, path: str, body: Any) -> None:
    """Who may use one model only does not get what the server takes by itself; who may use all does."""
    assert scripted.post(path, body, "few").status_code == 403
    assert scripted.server.seen == []
    scripted.post(path, body, "ml")
    assert len(scripted.server.seen) == 1
    assert scripted.post(path, {**body, "model": "llama"}, "few").status_code != 403


def test_a_model_that_is_refused_is_not_recorded(scripted: ScriptedSite) -> None:
    """Somebody put a key where the model's name belongs, in a body and in a path."""
    assert scripted.post(CHAT, {"model": KEY, "messages": []}, "few").status_code == 403
    assert scripted.post(f"/kserve/v2/models/{KEY}/infer", {"inputs": []}, "few").status_code == 403
    assert scripted.server.seen == []
    scripted.assert_kept_nothing_of(KEY)


def test_an_id_for_which_a_call_is_refused_is_not_recorded(scripted: ScriptedSite) -> None:
    """The caller may be told it again, for it is theirs."""
    answer = scripted.post("/mcp/mcp", {"jsonrpc": "2.0", "id": f"tel:{PHONE}", "method": "tools/list"})
    assert "hoopguard_" in answer.text
    assert scripted.server.seen == []
    scripted.assert_kept_nothing_of(PHONE)


def test_a_refused_batch_is_not_longer_than_what_was_asked(scripted: ScriptedSite) -> None:
    """An error for each of many requests would be many times as long."""
    batch = [{"jsonrpc": "2.0", "id": number, "method": "banana"} for number in range(20_000)]
    answer = scripted.post("/mcp/mcp", batch)
    assert answer.status_code == 403
    assert len(answer.content) < len(json.dumps(batch)) / 100


# ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────

LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SESSION = "sess-3f9c51d7a2e8b4c6"


def open_session(site: ScriptedSite) -> str:
    """Return a session's id as the caller knows it."""
    site.server.answer({"jsonrpc": "2.0", "id": 1, "result": {}}, mcp_session_id=SESSION)
    answer = site.post("/mcp/mcp", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    site.server.answer({"jsonrpc": "2.0", "id": 1, "result": {}})
    site.server.seen.clear()
    return str(answer.headers["mcp-session-id"])


def test_a_session_goes_on_for_its_caller(scripted: ScriptedSite) -> None:
    """The server is told its own id, and nobody can read it in the record."""
    session = open_session(scripted)
    assert scripted.post("/mcp/mcp", LIST, mcp_session_id=session).status_code == 200
    assert scripted.request("DELETE", "/mcp/mcp", "ada@example.com", mcp_session_id=session).status_code == 200
    assert [request.header("mcp-session-id") for request in scripted.server.seen] == [SESSION, SESSION]
    scripted.assert_kept_nothing_of(SESSION)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_session_is_nobody_elses(scripted: ScriptedSite, method: str) -> None:
    """All callers share the gateway's credential: to speak, listen or end in another's session is refused with 404."""
    session = open_session(scripted)
    for known in (session, SESSION):
        body = LIST if method == "POST" else None
        answer = scripted.request(method, "/mcp/mcp", "mallory@example.com", body=body, mcp_session_id=known)
        assert (answer.status_code, "hoopguard_unknown_session" in answer.text) == (404, True)
    assert scripted.server.seen == []


def test_a_session_is_one_connections(scripted: ScriptedSite) -> None:
    """What one server opened is not known at another."""
    session = open_session(scripted)
    assert scripted.post("/guarded-mcp/mcp", LIST, mcp_session_id=session).status_code == 404
    assert scripted.server.seen == []


def test_a_sessions_id_says_nothing_of_the_callers(scripted: ScriptedSite) -> None:
    """An id that no server made does not pass, whatever it holds."""
    assert scripted.post("/mcp/mcp", LIST, mcp_session_id=f"tel:{PHONE}").status_code in (400, 404)
    assert scripted.server.seen == []
    scripted.assert_kept_nothing_of(PHONE)
