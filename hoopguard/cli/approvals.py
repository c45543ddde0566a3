"""``hoopguard approvals``: see what waits for a decision, and decide it."""

import asyncio
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hoopguard.caller import TOKEN_VARIABLE
from hoopguard.cli.output import DEFAULT_POLICY, EXIT_FOUND, JsonOption, PolicyOption, fail, print_json, print_rows, say

if TYPE_CHECKING:
    from hoopguard.approval.reviewers import Reviewer
    from hoopguard.approval.service import Approvals
    from hoopguard.identity.principal import Principal
    from hoopguard.policy import LoadedPolicy
    from hoopguard.store.records import Verdict

_PROOF = (
    "Listing and showing need read access to the state folder only. Deciding needs proof of who you are: a token of "
    f"one of the policy's issuers, in --token-file FILE (- for stdin) or in ${TOKEN_VARIABLE}; or the rule's "
    "local_users names the user that you are logged in as."
)
_EXITS = (
    "Exit codes: 0 done · 1 the decision was refused (own request, not entitled, already decided, expired) · "
    "2 the command or its input cannot be used."
)

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, such as ap-k3v5x2m7qd.")]
Note = Annotated[str, typer.Option("--note", help="Why; kept with the decision.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help=f"The file that holds your token; - reads stdin. Default: ${TOKEN_VARIABLE}."),
]
StateOption = Annotated[
    Literal["pending", "approved", "denied", "expired", "cancelled", "all"],
    typer.Option("--state", help="Which approvals to list."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands = typer.Typer(help=f"See and decide what waits for a human's agreement. {_PROOF}", epilog=_EXITS)
    commands.command("list", epilog=_EXITS)(list_approvals)
    commands.command("show", epilog=_EXITS)(show)
    for command, effect in ((approve, "Agree to one request."), (deny, "Refuse one request, at once.")):
        commands.command(help=f"{effect} {_PROOF}", short_help=effect, epilog=_EXITS)(command)
    app.add_typer(commands, name="approvals", no_args_is_help=True)


def list_approvals(
    policy: PolicyOption = DEFAULT_POLICY, state: StateOption = "pending", json_wanted: JsonOption = False
) -> None:
    """List approvals, the oldest first."""
    from hoopguard.cli.rendering import COLUMNS, as_json, row
    from hoopguard.policy import load_policy

    now = time.time()
    with _approvals(load_policy(policy, secrets=False), read_only=True) as approvals:
        found = approvals.list(now, None if state == "all" else state) if approvals else ()
    if json_wanted:
        print_json([as_json(approval, now) for approval in found])
    elif not found:
        say("no approvals" if state == "all" else f"no {state} approvals")
    else:
        print_rows(COLUMNS, [row(approval) for approval in found])


def show(approval_id: ApprovalId, policy: PolicyOption = DEFAULT_POLICY, json_wanted: JsonOption = False) -> None:
    """Show who asks what of which model, why it waits, and who has decided so far."""
    from hoopguard.approval.service import UnknownApprovalError
    from hoopguard.cli.rendering import as_json, lines
    from hoopguard.policy import load_policy

    now = time.time()
    with _approvals(load_policy(policy, secrets=False), read_only=True) as approvals:
        try:
            if approvals is None:
                raise UnknownApprovalError(f"there is no approval {approval_id!r}: nothing has been stored yet")
            approval = approvals.get(_plain_id(approval_id), now)
        except UnknownApprovalError as error:
            fail(str(error.args[0]), hint="see: hoopguard approvals list --state all")
    if json_wanted:
        print_json(as_json(approval, now))
        return
    for line in lines(approval, now):
        # Not through rich: it would turn a preview's ":smile:" into something else.
        say(line)


def approve(
    approval_id: ApprovalId, note: Note = "", token_file: TokenFile = None, policy: PolicyOption = DEFAULT_POLICY
) -> None:
    """Agree to one request."""
    _decide(approval_id, "approve", note, token_file, policy)


def deny(
    approval_id: ApprovalId, note: Note = "", token_file: TokenFile = None, policy: PolicyOption = DEFAULT_POLICY
) -> None:
    """Refuse one request, at once."""
    _decide(approval_id, "deny", note, token_file, policy)


def _decide(approval_id: str, verdict: "Verdict", note: str, token_file: Path | None, policy: Path) -> None:
    from hoopguard.approval.service import MAX_NOTE_CHARS, UnknownApprovalError
    from hoopguard.approval.states import DecisionRefusedError
    from hoopguard.cli.rendering import standing
    from hoopguard.policy import load_policy

    if len(note) > MAX_NOTE_CHARS:
        fail(f"expected a note of at most {MAX_NOTE_CHARS} characters")
    loaded = load_policy(policy, secrets=False)
    rules = loaded.policy.approvals
    with _approvals(loaded, read_only=False) as approvals:
        try:
            if approvals is None:
                raise UnknownApprovalError(f"there is no approval {approval_id!r}: nothing has been stored yet")
            asked = approvals.get(_plain_id(approval_id), time.time())
            reviewer = _reviewer(loaded, asked.rule, token_file)
            after = approvals.decide(asked.id, reviewer, verdict, rules=rules, note=note, now=time.time())
        except UnknownApprovalError as error:
            fail(str(error.args[0]), hint="see: hoopguard approvals list")
        except DecisionRefusedError as error:
            fail(str(error), code=EXIT_FOUND)
    say(f"{after.id}: {standing(after)}, decided by {reviewer.subject} ({reviewer.issuer})")


@contextmanager
def _approvals(loaded: "LoadedPolicy", *, read_only: bool) -> "Iterator[Approvals | None]":
    """Open the approvals; None if nothing has been stored yet, and looking must not change that."""
    from hoopguard.approval.service import Approvals
    from hoopguard.store import StoreError, StoreMissingError, open_store

    try:
        with open_store(loaded.state, create=False, read_only=read_only) as store:
            yield Approvals(store)
    except StoreMissingError:
        yield None
    except StoreError as error:
        fail(str(error))


def _reviewer(loaded: "LoadedPolicy", rule_name: str, token_file: Path | None) -> "Reviewer":
    """Return who decides: the bearer of the token if there is one, else a local user that the rule names."""
    from hoopguard.approval.reviewers import Reviewer

    token = _read_token(token_file)
    if token is not None:
        return Reviewer.verified(_verified(loaded, token))
    user = _local_user()
    rule = next((rule for rule in loaded.policy.approvals if rule.name == rule_name), None)
    if user is not None and rule is not None and user in rule.local_users:
        return Reviewer.local(user)
    return fail(
        "deciding needs proof of who you are",
        hint=f"give a token with --token-file FILE (- for stdin) or in ${TOKEN_VARIABLE}; or let the policy's "
        f"[[approval]] {rule_name!r} name {user or 'your user'!r} in local_users",
    )


def _local_user() -> str | None:
    """Return the name of the process's real user; never ``$USER``, which anyone can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def _read_token(token_file: Path | None) -> str | None:
    """Return the token that the file, or else the variable, holds; None if neither is there."""
    from hoopguard.caller.sources import TokenFile, Variable
    from hoopguard.caller.tokens import NoTokenError

    source = Variable(os.environ) if token_file is None else TokenFile(token_file)
    if source.absent():
        return None
    try:
        return source.read().value
    except NoTokenError as error:
        fail(str(error), hint=error.hint)


def _verified(loaded: "LoadedPolicy", token: str) -> "Principal":
    from hoopguard.identity.verify import IssuerUnavailable, TokenRejected

    try:
        return asyncio.run(_verify(loaded, token))
    except (TokenRejected, IssuerUnavailable) as error:
        fail(f"the token proves nothing: {error}")


async def _verify(loaded: "LoadedPolicy", token: str) -> "Principal":
    from hoopguard.identity.verify import TokenVerifier

    verifier = TokenVerifier(loaded.policy.issuers)
    try:
        return await verifier.verify(token, time.time())
    finally:
        await verifier.aclose()


def _plain_id(approval_id: str) -> str:
    return approval_id.strip().lower()
