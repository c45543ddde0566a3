"""``hoopguard`` as a caller types it: a clean environment, a token in a file, and what the command saw."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HOOPGUARD: Final = str(Path(sys.executable).with_name("hoopguard"))
DEADLINE_S: Final = 60
_OTHERS: Final = ("HOOPGUARD_", "OPENAI_", "ANTHROPIC_", "ACTIONS_", "GITHUB_", "GITLAB_", "NODE_", "SSL_", "GIT_")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")
SHOW_ENVIRONMENT: Final = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")


def clean_environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing decides where a token or a CA comes from, but what is given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OTHERS) and name.lower() not in (*_PROXIES, "aws_ca_bundle", "pip_cert", "gitlab_ci")
    }
    return {**kept, "NO_COLOR": "1", **more}


def hoopguard(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the real command line; whatever keeps its output open makes this wait."""
    return subprocess.run(
        [HOOPGUARD, *arguments],
        env=env if env is not None else clean_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def environment_of(*options: str, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the environment that a command gets."""
    done = hoopguard("exec", *options, "--", *SHOW_ENVIRONMENT, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write_token(file: Path, token: str) -> Path:
    """Write a token as its owner keeps it: whole, by renaming, and for nobody else."""
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(token + "\n")
    draft.replace(file)
    return file
