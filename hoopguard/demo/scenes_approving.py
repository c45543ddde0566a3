"""Act three: a risky request waits until another human being has decided."""

import json
import subprocess
import time
from typing import Any, Final

from hoopguard.demo import cast
from hoopguard.demo.asking import Meanwhile, ask
from hoopguard.demo.scenes_refusing import unmoved
from hoopguard.demo.stage import Stage
from hoopguard.demo.story import Act, Seen

ACT: Final = Act("A risky request waits for another human being")

_WAIT_S: Final = 20.0
_RISKY: Final = "Please list all customers, with their cards."


def _waiting(stage: Stage) -> dict[str, Any]:
    """Return the approval that waits, as the command line lists it.

    Raises:
        TimeoutError: none appears.
    """
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        listed = stage.hoopguard("approvals", "list", "--json")
        approvals: list[dict[str, Any]] = json.loads(listed.stdout or "[]")
        if approvals:
            return approvals[-1]
    raise TimeoutError("hoopguard approvals list shows nothing that waits")


def _decide(stage: Stage, verdict: str, who: str, token: str, *more: str) -> subprocess.CompletedProcess[str]:
    file = stage.token_file(who, token)
    return stage.hoopguard("approvals", verdict, stage.memory["approval"], "--token-file", str(file), *more)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}: {(done.stdout + done.stderr).strip()}"


@ACT.step(
    "Ada asks for all customers; meanwhile: hoopguard approvals list",
    expected="her request is listed as pending, and the model has not been asked",
)
def waits(stage: Stage) -> Seen:
    """Check that the request is held."""
    before = stage.memory["before"] = len(stage.seen(stage.llama))
    stage.memory["meanwhile"] = Meanwhile(stage.sdk(cast.ada(stage)), _RISKY)
    waiting = _waiting(stage)
    stage.memory["approval"] = waiting["id"]
    text = (
        f"{waiting['id']} {waiting['state']}: {waiting['principal']['subject']}, {waiting['model']}, {waiting['rule']}"
    )
    checks = {
        "it is Ada's": waiting["principal"]["subject"] == cast.ADA,
        "it is pending": waiting["state"] == "pending",
    }
    return Seen(text, {**checks, **unmoved(stage, stage.llama, before)})


@ACT.step(
    "Ada, who is a data owner herself, approves her own request",
    expected="refused, exit 1; the request goes on waiting",
)
def not_by_herself(stage: Stage) -> Seen:
    """Check that nobody approves their own request."""
    done = _decide(stage, "approve", "ada", cast.ada(stage))
    checks = {"exit 1": done.returncode == 1, **unmoved(stage, stage.llama, stage.memory["before"])}
    return Seen(_said(done), checks)


@ACT.step(
    "Grace approves: hoopguard approvals approve ID --token-file …",
    expected="exit 0, and Ada's call, which was waiting all the time, is answered",
)
def approved(stage: Stage) -> Seen:
    """Check that an approved request goes on."""
    done = _decide(stage, "approve", "grace", cast.grace(stage))
    reply = stage.memory["meanwhile"].reply()
    checks = {
        "exit 0": done.returncode == 0,
        "Ada got the answer": _RISKY in reply.content,
        "the model was asked once": len(stage.seen(stage.llama)) == stage.memory["before"] + 1,
    }
    return Seen(f"{_said(done)}; Ada got {reply}", checks)


@ACT.step(
    "Ada sends the same once more; Grace denies it, with a note",
    expected="an approval is good for one request; now 403: PermissionDeniedError with the note",
)
def denied(stage: Stage) -> Seen:
    """Check that a grant is spent, and that a denial refuses."""
    before = len(stage.seen(stage.llama))
    meanwhile = Meanwhile(stage.sdk(cast.ada(stage)), _RISKY)
    stage.memory["approval"] = _waiting(stage)["id"]
    done = _decide(stage, "deny", "grace", cast.grace(stage), "--note", "ask the data team first")
    reply = meanwhile.reply()
    checks = {
        "exit 0": done.returncode == 0,
        "the SDK raised PermissionDeniedError": reply.error == "PermissionDeniedError",
        "code hoopguard_approval_denied": reply.code == "hoopguard_approval_denied",
        "with the note": "ask the data team first" in reply.message,
    }
    return Seen(f"{_said(done)}; Ada got {reply}", {**checks, **unmoved(stage, stage.llama, before)})


@ACT.step(
    "Ada would rather come back than wait (Prefer: respond-async); Grace approves; Ada sends it again",
    expected="first 403 with the approval's id, at once; then the answer, at once",
)
def come_back(stage: Stage) -> Seen:
    """Check that a caller need not hold the line."""
    sdk, prompt = stage.sdk(cast.ada(stage)), "Now export every user of the shop."
    first = ask(sdk, prompt, headers={"Prefer": "respond-async"})
    stage.memory["approval"] = next(iter((first.details or {})["approval"]))
    done = _decide(stage, "approve", "grace", cast.grace(stage))
    again = ask(sdk, prompt, headers={"Prefer": "respond-async"})
    checks = {
        "first 403 hoopguard_approval_required": (first.status, first.code) == (403, "hoopguard_approval_required"),
        "the refusal names the approval": stage.memory["approval"] in first.message,
        "exit 0": done.returncode == 0,
        "then the answer": prompt in again.content,
    }
    return Seen(f"first {first}; {_said(done)}; then {again}", checks)
