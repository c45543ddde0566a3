"""``hoopguard reveal``: what did the encrypted values say?"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hoopguard.cli.output import DEFAULT_POLICY, EXIT_FOUND, PolicyOption, complain, fail
from hoopguard.cli.terminal import visible


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: hoopguard sessions show ID | hoopguard reveal")(reveal)


def reveal(
    file: Annotated[Path, typer.Argument(help="A text with tokens in it; - is the standard input.")] = Path("-"),
    policy: PolicyOption = DEFAULT_POLICY,
) -> None:
    """Print a text with what the ``encrypt`` operator hid in it, by the policy's keys."""
    from hoopguard.masking.encryption import Cipher
    from hoopguard.masking.encryption import reveal as revealed
    from hoopguard.policy import load_policy

    masks = load_policy(policy).policy.masks
    keys = dict.fromkeys(mask.operator.encrypt.key.reveal() for mask in masks if mask.operator.encrypt is not None)
    if not keys:
        fail("no [[mask]] of the policy encrypts", hint='a rule that does has operator = { encrypt = { key = "…" } }')
    raw = sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
    text, unknown = revealed(raw.decode("utf-8", "surrogateescape"), [Cipher(key) for key in keys])
    if sys.stdout.isatty():
        text = visible(text, keep="\n\t")
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
    if unknown:
        complain(f"{unknown} of the tokens were made with a key that the policy does not have, or changed since")
        raise typer.Exit(EXIT_FOUND)
