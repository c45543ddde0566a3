"""``hoopguard audit``: is the record what was recorded?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hoopguard.cli.output import DEFAULT_POLICY, EXIT_FOUND, JsonOption, PolicyOption, fail, print_json, say

if TYPE_CHECKING:
    from hoopguard.recorder.problem import Report

StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="The state folder, or a copy of one; otherwise the policy names it."),
]

_app = typer.Typer(help="Check the record.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_app, name="audit")


def state_folder(policy: Path, state: Path | None) -> Path:
    """Return the state folder that the options mean; the policy is read only if no folder is given."""
    if state is not None:
        return state
    from hoopguard.policy import load_policy

    return load_policy(policy, secrets=False).state


@_app.callback()
def _group() -> None:
    pass


@_app.command(epilog="Exit codes: 0 nothing is wrong · 1 problems were found · 2 there is no record to check.")
def verify(
    policy: PolicyOption = DEFAULT_POLICY,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every entry and every recorded flow, and name what was changed, removed or added."""
    from hoopguard.recorder.errors import StateError
    from hoopguard.recorder.verify import verify as verify_record

    try:
        report = verify_record(state_folder(policy, state))
    except (StateError, OSError) as error:
        fail(str(error), hint="name the folder with --state, or the policy with --policy")
    if as_json:
        print_json(report.as_json())
    else:
        _tell(report)
    if not report.clean:
        raise typer.Exit(EXIT_FOUND)


def _tell(report: "Report") -> None:
    for problem in report.problems:
        say(f"{problem.kind}: {problem}")
    for repair in report.repairs:
        say(f"note: {repair}")
    if report.open_exchanges and report.live:
        say(f"note: {len(report.open_exchanges)} exchanges are under way")
    checked = f"{report.entries} entries, {report.exchanges} exchanges, {report.flows} flows"
    verdict = "nothing is wrong" if report.clean else f"{len(report.problems)} problems"
    say(f"{checked}, {report.segment_bytes} bytes of segments: {verdict}")
    say(f"last leaf: {report.leaf}")
