"""A folder in which a gateway can stand: policy.toml, certs/, var/; and the ports that its parts listen on."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from hoopguard.authority import KEY_FILE
from hoopguard.demo.loopback import LOOPBACK
from hoopguard.demo.model import DEFAULT_KEY
from hoopguard.demo.stack import free_port

PROJECT: Final = Path(__file__).resolve().parents[2]
HOOPGUARD: Final = str(Path(sys.executable).with_name("hoopguard"))
_COMMAND_S: Final = 60.0


class NotPrepared(Exception):
    """The folder could not be made ready; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Who listens where on the loopback interface; the defaults are those of the shipped policy and of the docs."""

    staff: int = 9400
    ci: int = 9401
    llama: int = 8000
    coder: int = 8001
    reverse: int = 8080
    forward: int = 8081

    @classmethod
    def free(cls) -> Self:
        """Choose ports that nobody uses just now."""
        chosen: set[int] = set()
        while len(chosen) < len(cls.__slots__):
            chosen.add(free_port())
        return cls(*chosen)

    def taken(self) -> list[int]:
        """Return those on which nobody else could listen now."""
        return [port for port in asdict(self).values() if not _is_free(port)]


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder and its ports. The project's own folder is one, with the shipped policy as it stands."""

    folder: Path
    ports: Ports

    @property
    def policy(self) -> Path:
        """Return the policy file."""
        return self.folder / "policy.toml"

    @property
    def state(self) -> Path:
        """Return the state folder, as the shipped policy names it."""
        return self.folder / "var"

    @property
    def certs(self) -> Path:
        """Return the CA's folder, as the shipped policy names it."""
        return self.folder / "certs"

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' logs."""
        return self.state / "logs"

    def prepare(self) -> None:
        """Make what is missing: a copy of the policy with this folder's ports, the model's key, the CA.

        Raises:
            NotPrepared: the policy cannot be used, or no CA could be made.
        """
        self.prepare_key()
        self.logs.mkdir(exist_ok=True)
        if self.folder != PROJECT:
            self.policy.write_text(_readdressed((PROJECT / "policy.toml").read_text("utf-8"), self.ports), "utf-8")
        if not (self.certs / KEY_FILE).exists():
            _make_authority(self.policy)

    def prepare_key(self) -> None:
        """Write the demo models' key, which the policy refers to, unless it is there."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = self.state / "demo-model.key"
        if not key.exists():
            write_secret(key, DEFAULT_KEY)


def write_secret(file: Path, text: str) -> None:
    """Write a line to a file that only its owner can read; whole, or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(f"{text}\n")
    draft.replace(file)


def shown(path: Path) -> str:
    """Return a path as one would call it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def typed(path: Path) -> str:
    """Return a path as it stands in a shell's command line."""
    return shlex.quote(shown(path))


def _make_authority(policy: Path) -> None:
    command = [HOOPGUARD, "certs", "init", "--policy", str(policy)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    if made.returncode != 0:
        raise NotPrepared(made.stderr.strip().removeprefix("error: "))


def _readdressed(policy: str, ports: Ports) -> str:
    """Return the policy with other ports in the addresses of issuers and models."""
    for usual, here in zip(asdict(Ports()).values(), asdict(ports).values(), strict=True):
        policy = policy.replace(f'"http://{LOOPBACK}:{usual}"', f'"http://{LOOPBACK}:@{here}"')
    return policy.replace(f"{LOOPBACK}:@", f"{LOOPBACK}:")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def missing_tool() -> str:
    """Return what to install before the demo can be played; nothing if all is there."""
    return (
        ""
        if shutil.which("curl")
        else "curl is not installed, and the demo plays with it; on Debian: apt-get install curl"
    )
