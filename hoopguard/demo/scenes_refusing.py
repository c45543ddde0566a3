"""Act two: who may not knock, where nobody may go, and what may not be said."""

import json
import time
from typing import Any, Final

import jwt
from openai import APIStatusError

from hoopguard.demo import cast
from hoopguard.demo.asking import Reply, ask, refusal, stream
from hoopguard.demo.issuer import new_key
from hoopguard.demo.stage import Helper, Stage, chat
from hoopguard.demo.story import Act, Seen, quoted

STRANGERS: Final = Act("Strangers")
RULES: Final = Act("What the policy does not allow")

KEY_BLOCK: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
SECRET_NAME: Final = "Project Bluebird"
_LEAK: Final = f"The plan for spring is ready. Its name is {SECRET_NAME}, and the launch is on the third of May."


def curl_chat(stage: Stage, *arguments: str, path: str = "/v1/chat/completions") -> tuple[int, dict[str, Any]]:
    """Ask with curl; return the status and the error object."""
    url = f"{stage.reverse_url}{path}"
    status, body = stage.curl(url, "-H", "content-type: application/json", "-d", chat("Hello!"), *arguments)
    try:
        error = json.loads(body).get("error")
    except ValueError:
        error = {"message": body[:300]}
    return status, error if isinstance(error, dict) else {}


def unmoved(stage: Stage, model: Helper, before: int) -> dict[str, bool]:
    """Return the check that a model has got no request since."""
    return {"nothing reached the model": len(stage.seen(model)) == before}


def _refused(stage: Stage, reply: Reply, error: str, status: int, code: str, before: int) -> Seen:
    checks = {
        f"the SDK raised {error}": reply.error == error,
        f"status {status}": reply.status == status,
        f"code {code}": reply.code == code,
    }
    return Seen(str(reply), {**checks, **unmoved(stage, stage.llama, before)})


def _stranger(stage: Stage, token: str, says: str) -> Seen:
    before = len(stage.seen(stage.llama))
    reply = ask(stage.sdk(token), "Hello!")
    seen = _refused(stage, reply, "AuthenticationError", 401, "hoopguard_bad_token", before)
    return Seen(seen.text, {**seen.checks, f"the message says {says!r}": says in reply.message})


@STRANGERS.step("somebody without a token (curl)", expected="401, as the API's JSON, and how to send one")
def no_token(stage: Stage) -> Seen:
    """Check that a token is required."""
    before = len(stage.seen(stage.llama))
    status, error = curl_chat(stage)
    checks = {"401": status == 401, "a stable code": error.get("code") == "hoopguard_no_credential"}
    return Seen(
        f"{status} {error.get('code')}: {error.get('message')}", {**checks, **unmoved(stage, stage.llama, before)}
    )


@STRANGERS.step("Ada with a token that expired an hour ago", expected="401: AuthenticationError, and why")
def expired_token(stage: Stage) -> Seen:
    """Check that a token's time is looked at."""
    return _stranger(stage, cast.ada(stage, expires_in=-3600), "expired")


@STRANGERS.step("Ada with a token that is meant for another service", expected="401: AuthenticationError, and why")
def wrong_audience(stage: Stage) -> Seen:
    """Check that a token's audience is looked at."""
    return _stranger(stage, cast.ada(stage, audience="payroll"), "another audience")


@STRANGERS.step(
    "somebody who copied all of Ada's token and signed it with a key of their own",
    expected="401: AuthenticationError, and why",
)
def forged_token(stage: Stage) -> Seen:
    """Check that a token's signature is looked at."""
    genuine = cast.ada(stage)
    claims, kid = jwt.decode(genuine, options={"verify_signature": False}), jwt.get_unverified_header(genuine)["kid"]
    forged = jwt.encode(claims, new_key("RS256").private, "RS256", headers={"kid": kid})
    return _stranger(stage, forged, "signature")


@RULES.step("Ada pastes a private key into a prompt", expected="403: PermissionDeniedError with the rule's own message")
def forbidden_prompt(stage: Stage) -> Seen:
    """Check that a guardrail blocks."""
    before = len(stage.seen(stage.llama))
    reply = ask(stage.sdk(cast.ada(stage)), f"What is wrong here? {KEY_BLOCK} b3BlbnNzaC1rZXktdjE…")
    seen = _refused(stage, reply, "PermissionDeniedError", 403, "hoopguard_blocked", before)
    own_words = "Keys must not be sent to a model." in reply.message
    return Seen(seen.text, {**seen.checks, "the rule's own message": own_words})


@RULES.step("Linus asks a model that the policy does not give him", expected="403: PermissionDeniedError")
def unlisted_model(stage: Stage) -> Seen:
    """Check that models are allowed by name."""
    before = len(stage.seen(stage.llama))
    reply = ask(stage.sdk(cast.linus(stage)), "Hello!", model="llama-3-70b")
    return _refused(stage, reply, "PermissionDeniedError", 403, "hoopguard_not_permitted", before)


@RULES.step(
    "Ada tries the model server's admin route /v1/load_lora_adapter (curl)",
    expected="403: the policy does not list it, whoever asks",
)
def unlisted_route(stage: Stage) -> Seen:
    """Check that routes are allowed by name."""
    before = len(stage.seen(stage.llama))
    bearer = f"authorization: Bearer {cast.ada(stage)}"
    status, error = curl_chat(stage, "-H", bearer, path="/v1/load_lora_adapter")
    checks = {"403": status == 403, "a stable code": error.get("code") == "hoopguard_route_not_listed"}
    return Seen(
        f"{status} {error.get('code')}: {error.get('message')}", {**checks, **unmoved(stage, stage.llama, before)}
    )


@RULES.step(
    "the model begins to tell her what is not announced yet, in a stream",
    expected="the stream ends properly before the name is out, with finish reason content_filter",
)
def stopped_stream(stage: Stage) -> Seen:
    """Check that a guardrail ends a streamed answer in the middle."""
    stage.behave(stage.llama, "say", text=_LEAK)
    started = time.monotonic()
    try:
        got = stream(stage, stage.sdk(cast.ada(stage)), stage.llama, "What are the plans?")
    except APIStatusError as error:
        return Seen(str(refusal(error)), {"the stream began": False})
    text = f"{quoted(got.content)} finish reason {got.finish_reason}, after {time.monotonic() - started:.2f} s"
    checks = {
        "what came before went through": got.content.startswith("The plan for spring is ready."),
        "the name did not get out": SECRET_NAME.lower() not in got.content.lower(),
        "nothing after it did": "third of May" not in got.content,
        "it ended properly": got.finish_reason == "content_filter",
    }
    return Seen(text, checks)
