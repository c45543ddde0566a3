"""``python -m hoopguard.demo``: play the demo's story with real processes, or keep its gateway running.

Exit codes: 0 all was as expected (or it was stopped with Ctrl-C while it ran) · 1 something was not · 2 it could not
begin · 130 the story was interrupted.
"""

import argparse
import io
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.markup import escape

from hoopguard.demo import (
    running,
    scenes_approving,
    scenes_asking,
    scenes_proxying,
    scenes_recording,
    scenes_refusing,
)
from hoopguard.demo.installation import PROJECT, Installation, NotPrepared, Ports, missing_tool, shown, typed
from hoopguard.demo.stack import NotStarted
from hoopguard.demo.stage import MITMWEB, Stage
from hoopguard.demo.story import Told, play
from hoopguard.demo.telling import Page, Silence, complain, note, print_json
from hoopguard.recorder.state import in_use

ACTS: Final = (
    scenes_asking.ACT,
    scenes_refusing.STRANGERS,
    scenes_refusing.RULES,
    scenes_approving.ACT,
    scenes_proxying.ACT,
    scenes_recording.ACT,
)
_INTERRUPTED: Final = 130
_KEPT_RUNS: Final = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, or run; return the exit code."""
    chosen = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets a ? for a ✓, and no traceback
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    missing = missing_tool()
    if missing:
        complain(missing)
        return 2
    installation = _installation(chosen)
    try:
        return (
            _run(installation, as_json=chosen.json) if chosen.keep_running else _play(installation, as_json=chosen.json)
        )
    except NotPrepared as error:
        complain(str(error))
        return 2
    except NotStarted as error:
        complain(f"a process did not start; its log is in {shown(installation.logs)}, and ends so:\n{error}")
        return 2
    except KeyboardInterrupt:
        complain("interrupted; all processes have been stopped")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hoopguard.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--keep-running", action="store_true", help="play nothing; keep the gateway running until Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="tell it as one JSON document, for scripts")
    parser.add_argument(
        "--folder", type=Path, help="an empty folder for policy, CA and state; default: one in var/demo"
    )
    return parser


def _installation(chosen: argparse.Namespace) -> Installation:
    """Choose where to play: the documented ports and the project's own folder only for ``--keep-running``."""
    usual = Installation(PROJECT, Ports())
    if chosen.folder is None and chosen.keep_running:
        taken = usual.ports.taken()
        if not taken:
            return usual
        note(f"others listen on {', '.join(map(str, taken))}; so other ports are used, and a folder of their own")
    if chosen.folder is not None:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        return Installation(chosen.folder.resolve(), Ports.free())
    home = usual.state / "demo"
    usual.state.mkdir(mode=0o700, exist_ok=True)
    home.mkdir(exist_ok=True)
    _forget_old_runs(home)
    return Installation(Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=home)), Ports.free())


def _forget_old_runs(home: Path) -> None:
    """Remove the folders of earlier demos, except of the last few and of those that are still running."""
    for folder in sorted(home.iterdir())[:-_KEPT_RUNS]:
        if not in_use(folder / "var"):
            shutil.rmtree(folder, ignore_errors=True)


def _play(installation: Installation, *, as_json: bool) -> int:
    """Play the story from beginning to end."""
    started = time.monotonic()
    page = Page()
    teller = Silence() if as_json else page
    Installation(PROJECT, Ports()).prepare_key()
    with closing(Stage(installation)) as stage:
        teller.announce("hoopguard: real processes, real clients; each step with what was expected and what was seen")
        _open(stage, teller)
        teller.introduce(_processes(stage), time.monotonic() - started)
        story = play(ACTS, stage, teller)
        told = _summary(stage, story)
    told["elapsed_s"] = round(time.monotonic() - started, 1)
    if as_json:
        print_json(told)
    else:
        _conclude(page, stage, told)
    return 0 if told["ok"] else 1


def _run(installation: Installation, *, as_json: bool) -> int:
    """Keep the gateway running until it is interrupted, or one of its processes ends by itself."""
    page = Page()
    with closing(Stage(installation)) as stage:
        _open(stage, Silence() if as_json else page)
        try:
            if as_json:
                print_json(running.facts(stage))
            else:
                running.welcome(stage, page)
            ended = running.stay(stage)
        except KeyboardInterrupt:
            ended = []
    for name in ended:
        complain(f"{name} ended by itself; its log: {shown(stage.logs[name])}")
    if not as_json:
        page.say("\nall processes have been stopped" if not ended else "\nthe others have been stopped")
    return 1 if ended else 0


def _open(stage: Stage, teller: Page | Silence) -> None:
    with teller.busy("starting two issuers, two models and the gateway …"):
        stage.installation.prepare()
        stage.open()


def _processes(stage: Stage) -> dict[str, str]:
    return {
        **{helper.name: helper.url for helper in stage.helpers},
        "gateway": f"{stage.reverse_url} (reverse), {stage.forward} (HTTPS_PROXY)",
        "policy": shown(stage.installation.policy),
    }


def _summary(stage: Stage, story: list[Told]) -> dict[str, Any]:
    session = stage.memory.get("session")
    file = scenes_recording.segment(stage, session) if session else None
    return {
        "ok": bool(story) and all(told.ok for told in story),
        "steps": [told.as_json() for told in story],
        "folder": str(stage.installation.folder),
        "logs": {name: str(log) for name, log in stage.logs.items()},
        "open": f"{typed(Path(MITMWEB))} -nr {typed(file)}" if file else "",
    }


def _conclude(page: Page, stage: Stage, told: dict[str, Any]) -> None:
    """Say how it went, and where to look."""
    failed = [step["number"] for step in told["steps"] if not step["ok"]]
    count = len(told["steps"])
    if failed:
        page.say(f"\n[bold red]{len(failed)} of {count} steps were not as expected[/]: {', '.join(map(str, failed))}")
        for name, log in stage.logs.items():
            page.say(f"  log of {name:<13} {escape(shown(log))}")
    else:
        page.say(f"\n[bold green]all {count} steps were as expected[/], in {told['elapsed_s']:g} s")
    if told["open"]:
        page.say("\nOpen the recorded session in mitmweb:\n")
        page.command(told["open"])
    page.say("\nThe same gateway to try yourself: [cyan]make run[/]")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
