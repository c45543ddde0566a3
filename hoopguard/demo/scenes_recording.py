"""Act five: what remains of it all, and that nobody can change it unseen."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from hoopguard.demo import cast
from hoopguard.demo.installation import shown
from hoopguard.demo.model import DEFAULT_KEY
from hoopguard.demo.scenes_asking import HIDDEN
from hoopguard.demo.stage import MITMDUMP, Stage
from hoopguard.demo.story import Act, Seen

ACT: Final = Act("What remains")


def adas_session(stage: Stage) -> dict[str, Any]:
    """Return the session of Ada's in which most was said, as the command line lists it."""
    listed = stage.hoopguard("sessions", "list", "--subject", cast.ADA, "--connection", "llama", "--json")
    sessions: list[dict[str, Any]] = json.loads(listed.stdout)
    return max(sessions, key=lambda session: int(session["exchanges"]))


def segment(stage: Stage, session: dict[str, Any]) -> Path:
    """Return the first of a session's files."""
    return stage.installation.state / "sessions" / str(session["session"]) / str(session["segments"][0])


@ACT.step("hoopguard sessions list", expected="one of Ada's, of Linus's and of the job's, with how each exchange ended")
def listed(stage: Stage) -> Seen:
    """Check that sessions are there."""
    done = stage.hoopguard("sessions", "list")
    stage.memory["session"] = session = adas_session(stage)
    checks = {
        "exit 0": done.returncode == 0,
        "all three": all(who in done.stdout for who in (cast.ADA, cast.LINUS, cast.JOB)),
        "allowed, blocked and rejected": {"allowed", "blocked", "rejected"} <= set(session["outcomes"]),
    }
    rows = (
        " · ".join(part.strip() for part in row.split("  ") if part.strip()) for row in done.stdout.splitlines()[1:]
    )
    return Seen("\n".join(rows), checks)


@ACT.step("hoopguard sessions show", expected="what was asked, decided, masked and said, and nothing in the clear")
def told_again(stage: Stage) -> Seen:
    """Check that a session can be read."""
    done = stage.hoopguard("sessions", "show", str(stage.memory["session"]["session"]))
    lines = [line for line in done.stdout.splitlines() if line]
    checks = {
        "exit 0": done.returncode == 0,
        "the masked prompt is there": "Refund <EMAIL_ADDRESS>" in done.stdout,
        "the refusals are there": "Keys must not be sent" in done.stdout,
        "no personal data": not any(value in done.stdout for value in HIDDEN),
    }
    return Seen("\n".join([*lines[:6], f"… ({len(lines) - 6} more lines)"]), checks)


@ACT.step(
    "the gateway is told to end (SIGTERM); hoopguard audit verify", expected="exit 0 and exit 0: nothing is wrong"
)
def verified(stage: Stage) -> Seen:
    """Check that the record verifies once the gateway has closed it."""
    ended = stage.gateway.stop()
    done = stage.hoopguard("audit", "verify")
    checks = {"the gateway ended with 0": ended == 0, "verified with 0": done.returncode == 0}
    return Seen(f"the gateway: exit {ended}; audit verify: exit {done.returncode}: {done.stdout.strip()}", checks)


@ACT.step("mitmdump -nr reads the session", expected="mitmproxy itself lists every exchange of the session's file")
def read_back(stage: Stage) -> Seen:
    """Check that the recording is one of mitmproxy's own."""
    session = stage.memory["session"]
    done = stage.run(MITMDUMP, "-nr", str(segment(stage, session)))
    answers = [line for line in done.stdout.splitlines() if line.lstrip().startswith("<<")]
    checks = {"exit 0": done.returncode == 0, "all of them": len(answers) == int(session["exchanges"])}
    return Seen(
        f"exit {done.returncode}, {len(answers)} exchanges:\n" + "\n".join(done.stdout.splitlines()[:4]), checks
    )


@ACT.step(
    "every file of the state folder is searched for what went in",
    expected="no personal data, no caller's token, no model's key: not in sessions, ledger, approvals, logs",
)
def nothing_leaked(stage: Stage) -> Seen:
    """Check that secrets and raw personal data stay out (law 5)."""
    secrets = [value.encode() for value in (*HIDDEN, *stage.tokens, DEFAULT_KEY)]
    own = {path.name for path in stage.installation.state.glob("token-*")} | {"demo-model.key"}
    files = [path for path in stage.installation.state.rglob("*") if path.is_file() and path.name not in own]
    found = [shown(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]
    text = f"{len(files)} files searched for {len(secrets)} secrets: " + (", ".join(found) or "none found")
    return Seen(text, {"none found": not found})


@ACT.step(
    "one byte of a copy of the record is changed; hoopguard audit verify --state COPY",
    expected="exit 1, and the changed exchange is named; the original still verifies",
)
def tampered(stage: Stage) -> Seen:
    """Check that one byte is enough."""
    session = stage.memory["session"]
    transcript = json.loads(stage.hoopguard("sessions", "show", str(session["session"]), "--json").stdout)["transcript"]
    copy = stage.installation.folder / "tampered"
    shutil.copytree(stage.installation.state, copy, dirs_exist_ok=True)
    _change_a_byte(copy / segment(stage, session).relative_to(stage.installation.state))
    done = stage.hoopguard("audit", "verify", "--state", str(copy))
    original = stage.hoopguard("audit", "verify")
    shutil.rmtree(copy)
    checks = {
        "exit 1": done.returncode == 1,
        "the exchange is named": str(transcript[0]["facts"]["id"]) in done.stdout,
        "the original still verifies": original.returncode == 0,
    }
    return Seen(f"exit {done.returncode}: {done.stdout.splitlines()[0] if done.stdout else done.stderr}", checks)


def _change_a_byte(file: Path) -> None:
    """Make Ada's first question a little less polite than it was."""
    content = bytearray(file.read_bytes())
    content[content.index(b"Refund")] ^= 0x20
    file.write_bytes(content)
