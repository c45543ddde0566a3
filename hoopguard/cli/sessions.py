"""``hoopguard sessions``: who asked what of which model, read back from the record."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hoopguard.cli.audit import StateOption, state_folder
from hoopguard.cli.output import DEFAULT_POLICY, EXIT_FOUND, JsonOption, PolicyOption, fail, print_json, print_rows, say

if TYPE_CHECKING:
    from hoopguard.recorder.sessions import SessionSummary
    from hoopguard.recorder.transcript import Transcript

SessionArgument = Annotated[str, typer.Argument(help="The session's folder name, or any part of it that fits only it.")]

_app = typer.Typer(help="List, read and replay recorded sessions.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_app, name="sessions")


@_app.command("list", epilog="Example: hoopguard sessions list --outcome blocked --json")
def list_(
    policy: PolicyOption = DEFAULT_POLICY,
    state: StateOption = None,
    subject: Annotated[str, typer.Option(help="Only this caller's.")] = "",
    connection: Annotated[str, typer.Option(help="Only those with this model server.")] = "",
    outcome: Annotated[str, typer.Option(help="Only those in which an exchange ended so.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the recorded sessions, the oldest first."""
    from hoopguard.recorder.sessions import list_sessions

    found = [
        session
        for session in list_sessions(state_folder(policy, state))
        if subject in ("", session.subject, session.principal)
        and connection in ("", session.connection)
        and (not outcome or session.outcomes[outcome])
    ]
    if as_json:
        print_json([session.as_json() for session in found])
        return
    columns = ("session", "who", "connection", "models", "last", "exchanges")
    print_rows(columns, (_row(session) for session in found))


@_app.command(epilog="Exit codes: 0 shown · 1 the record does not verify · 2 no such session.")
def show(
    session: SessionArgument,
    policy: PolicyOption = DEFAULT_POLICY,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a session, once verified: who, when, which model, what was decided, masked, said."""
    from mitmproxy.http import HTTPFlow

    from hoopguard.recorder.sessions import find_session, read_session
    from hoopguard.recorder.transcript import transcribe

    folder = state_folder(policy, state)
    summary = find_session(folder, session)
    _refuse_unverified(folder, summary)
    transcripts = (transcribe(flow) for flow in read_session(folder, summary) if isinstance(flow, HTTPFlow))
    if as_json:
        value = {**summary.as_json(), "transcript": [entry.as_json() for entry in transcripts]}
        print_json(value)
        return
    say(f"{summary.session}: {summary.exchanges} exchanges of {summary.principal}")
    for transcript in transcripts:
        for line in _lines(transcript):
            say(line, keep="\n\t")


@_app.command(epilog="Exit codes: 0 shown · 1 the record does not verify · 2 no such session.")
def replay(
    session: SessionArgument,
    policy: PolicyOption = DEFAULT_POLICY,
    state: StateOption = None,
    part: Annotated[int, typer.Option(min=1, help="Which of the session's segments.")] = 1,
    web: Annotated[bool, typer.Option(help="Open mitmweb; otherwise print with mitmdump.")] = True,
    print_command: Annotated[bool, typer.Option("--print-command", help="Print the command, run nothing.")] = False,
) -> None:
    """Open a session in mitmproxy, once its ledger and segments are verified."""
    from hoopguard.recorder.sessions import find_session, segment_paths

    folder = state_folder(policy, state)
    summary = find_session(folder, session)
    _refuse_unverified(folder, summary)
    paths = segment_paths(folder, summary)
    if part > len(paths):
        fail(f"{summary.session} has {len(paths)} segments, and no part {part}")
    command = [_beside_python("mitmweb" if web else "mitmdump"), "-nr", str(paths[part - 1])]
    if len(paths) > part:
        typer.echo(f"part {part} of {len(paths)}; go on with --part {part + 1}", err=True)
    sys.stdout.write(shlex.join(command) + "\n")
    sys.stdout.flush()
    if not print_command:
        os.execv(command[0], command)  # noqa: S606 - a fixed program, and a path that we built


def _refuse_unverified(state: Path, session: "SessionSummary") -> None:
    """Leave with a complaint if the ledger or this session's segments are not what was recorded."""
    from hoopguard.recorder.verify import verify

    # An exchange without an outcome (the gateway was killed) does not make other flows untrue.
    problems = [problem for problem in verify(state, session=session.session).problems if problem.kind != "open"]
    if problems:
        fail(
            f"{session.session} does not verify: {problems[0]}",
            hint="see all that is wrong with: hoopguard audit verify",
            code=EXIT_FOUND,
        )


def _beside_python(program: str) -> str:
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.exists() else shutil.which(program)
    return found or fail(f"{program} is not installed beside {sys.executable} and not on the PATH")


def _row(session: "SessionSummary") -> Iterable[str]:
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(session.outcomes.items()))
    return (
        session.session,
        session.subject or session.principal,
        session.connection,
        ", ".join(session.models),
        _time(session.last_us / 1e6),
        outcomes,
    )


def _lines(transcript: "Transcript") -> Iterable[str]:
    facts = transcript.facts
    started = facts.get("started")
    yield ""
    yield f"── {facts.get('id', '')} · {_time(started) if isinstance(started, int | float) else ''}"
    outcome = " · ".join(str(facts[key]) for key in ("outcome", "reason") if facts.get(key))
    status, model = transcript.status or "no answer", facts.get("model") or "none"
    yield f"{transcript.request} → {status} · model {model} · {outcome}"
    for verdict in facts.get("verdicts") or ():
        observed = " (observed only)" if verdict.get("observed") else ""
        yield f"rule: {verdict.get('rule')}, {verdict.get('action')}{observed}"
    for approval in facts.get("approval") or ():
        decided = ", ".join(f"{vote['verdict']} by {vote['by']}" for vote in approval.get("decisions") or ())
        yield f"approval: {approval.get('id')} {approval.get('state')}{f': {decided}' if decided else ''}"
    for direction, counts in (facts.get("masked") or {}).items():
        if counts:
            yield f"masked in the {direction}: " + ", ".join(f"{count} {entity}" for entity, count in counts.items())
    if spoken := facts.get("messages"):
        speech = sum((facts.get("unrecorded_audio") or {}).values())
        unkept = f"; {speech} of them speech, which is not kept" if speech else ""
        yield f"messages: {spoken['request']} of the caller's, {spoken['response']} of the model's{unkept}"
    for turn in (*transcript.asked, *transcript.answered, *transcript.said):
        # Indented, no line of a text can pass for somebody else's turn.
        yield f"[{turn.role}] {turn.text}".replace("\n", "\n  ")
    if transcript.left_out:
        yield f"… and {transcript.left_out} more; see them with: hoopguard sessions replay"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
