"""``hoopguard accounts``: keys for callers that no OIDC provider vouches for."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hoopguard.cli.output import DEFAULT_POLICY, EXIT_FOUND, JsonOption, PolicyOption, fail, print_json, print_rows, say
from hoopguard.cli.terminal import visible

if TYPE_CHECKING:
    from hoopguard.identity.accounts import Accounts
    from hoopguard.policy import LoadedPolicy
    from hoopguard.store.accounts import Account

_HELP: Final = (
    "Keep service accounts: keys for callers that can't do OIDC. A key is shown once, kept as a hash only, and always "
    "expires. It is sent wherever a token is; the policy takes keys once its accounts.enabled is true."
)
_EXITS: Final = (
    "Exit codes: 0 done · 1 refused (the name is taken, the account is disabled) · "
    "2 the command or its input cannot be used."
)
_COLUMNS: Final = ("name", "state", "groups", "expires", "last used", "note")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name, such as nightly-batch.")]
Groups = Annotated[list[str] | None, typer.Option("--group", "-g", help="A group of the account's; may be repeated.")]
Note = Annotated[str, typer.Option("--note", help="What it is for, or who asked; kept with the account.")]
Expires = Annotated[str, typer.Option("--expires", help="How long the key lives: 12h, 90d; one year at most.")]
Overlap = Annotated[str, typer.Option("--overlap", help="How long the old key lives on: 0s, 15m, 2d.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    commands = typer.Typer(help=_HELP, epilog=_EXITS)
    examples: dict[Callable[..., None], str] = {
        add: "hoopguard accounts add nightly-batch --group ci --expires 90d",
        list_accounts: "hoopguard accounts list --json",
        rotate: "hoopguard accounts rotate nightly-batch --expires 90d --overlap 2d",
        disable: "hoopguard accounts disable nightly-batch",
    }
    for command, example in examples.items():
        name = command.__name__.partition("_")[0]
        commands.command(name, epilog=f"Example: {example}\n\n{_EXITS}")(command)
    app.add_typer(commands, name="accounts", no_args_is_help=True)


def add(
    name: Name,
    expires: Expires,
    group: Groups = None,
    note: Note = "",
    policy: PolicyOption = DEFAULT_POLICY,
    json_wanted: JsonOption = False,
) -> None:
    """Make an account, and print its key: the only time that anybody sees it."""
    expires_s = _seconds("--expires", expires)
    with _accounts(policy) as (accounts, loaded):
        account, key = accounts.add(name, group or (), expires_s=expires_s, note=note, now=time.time())
    _hand_over(account, key, loaded, json_wanted=json_wanted)


def rotate(
    name: Name,
    expires: Expires,
    overlap: Overlap = "0s",
    policy: PolicyOption = DEFAULT_POLICY,
    json_wanted: JsonOption = False,
) -> None:
    """Give an account a new key, and print it; the old one ends at once, or after --overlap."""
    expires_s, overlap_s = _seconds("--expires", expires), _seconds("--overlap", overlap)
    with _accounts(policy) as (accounts, loaded):
        account, key = accounts.rotate(name, expires_s=expires_s, overlap_s=overlap_s, now=time.time())
    _hand_over(account, key, loaded, json_wanted=json_wanted)


def disable(name: Name, policy: PolicyOption = DEFAULT_POLICY, json_wanted: JsonOption = False) -> None:
    """End an account at once and for good; running gateways refuse its keys from their next request on."""
    now = time.time()
    with _accounts(policy) as (accounts, _):
        account = accounts.disable(name, now=now)
    if json_wanted:
        print_json(_as_json(account, now))
    else:
        say(f"{account.name}: disabled")


def list_accounts(policy: PolicyOption = DEFAULT_POLICY, json_wanted: JsonOption = False) -> None:
    """List the accounts: whose keys are good, until when, and when each was last used."""
    from hoopguard.identity.accounts import Accounts
    from hoopguard.policy import load_policy
    from hoopguard.store import StoreError, StoreMissingError, open_store

    now = time.time()
    try:
        with open_store(load_policy(policy, secrets=False).state, read_only=True) as store:
            found = Accounts(store).list()
    except StoreMissingError:
        found = ()
    except StoreError as error:
        fail(str(error))
    if json_wanted:
        print_json([_as_json(account, now) for account in found])
    elif not found:
        say("no accounts")
    else:
        print_rows(_COLUMNS, [_row(account, now) for account in found])


@contextmanager
def _accounts(policy: Path) -> "Iterator[tuple[Accounts, LoadedPolicy]]":
    """Open the accounts to change them; what goes wrong is one line on stderr."""
    from hoopguard.identity.accounts import AccountRefusedError, Accounts
    from hoopguard.policy import load_policy
    from hoopguard.store import StoreError, open_store

    loaded = load_policy(policy, secrets=False)
    try:
        with open_store(loaded.state) as store:
            yield Accounts(store), loaded
    except AccountRefusedError as error:
        fail(str(error), hint="see: hoopguard accounts list", code=EXIT_FOUND)
    except LookupError as error:
        fail(str(error.args[0]), hint="see: hoopguard accounts list")
    except (StoreError, ValueError) as error:
        fail(str(error))


def _seconds(option: str, written: str) -> float:
    from hoopguard.policy.values import parse_duration_s

    try:
        return 0.0 if written == "0" else parse_duration_s(written)
    except ValueError as error:
        fail(f"{option} {written}: {error}")


def _hand_over(account: "Account", key: str, loaded: "LoadedPolicy", *, json_wanted: bool) -> None:
    """Print the key to stdout, and to stderr what a person has to know."""
    if json_wanted:
        print_json({**_as_json(account, time.time()), "key": key})
    else:
        sys.stdout.write(f"{key}\n")
        _tell(f"{account.name}: good until {_when(account.expires_at)}. Keep the key now: it is not shown again.")
    if not loaded.policy.accounts.enabled:
        _tell("The policy does not take keys yet; add to it: [accounts] enabled = true")


def _tell(message: str) -> None:
    sys.stderr.write(visible(message) + "\n")


def _row(account: "Account", now: float) -> tuple[str, ...]:
    from hoopguard.identity.accounts import standing

    used = "never" if account.last_used_at is None else _when(account.last_used_at)
    groups = ", ".join(account.groups)
    return (account.name, standing(account, now), groups, _when(account.expires_at), used, account.note)


def _as_json(account: "Account", now: float) -> dict[str, Any]:
    """Return an account as plain JSON values, without anything of its keys; times in Unix seconds."""
    from hoopguard.identity.accounts import standing

    return {
        "id": account.id,
        "name": account.name,
        "state": standing(account, now),
        "groups": list(account.groups),
        "note": account.note,
        "created_at": account.created_at,
        "expires_at": account.expires_at,
        "old_key_expires_at": account.old_expires_at,
        "disabled_at": account.disabled_at,
        "last_used_at": account.last_used_at,
    }


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
