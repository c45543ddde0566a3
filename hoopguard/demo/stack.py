"""The gateway as a process of its own, started as its users start it; for the demo, the tests and the bench."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

ADDONS: Final = Path(__file__).resolve().parents[2] / "addons.py"
_READY: Final = " governs "
_START_S: Final = 60.0
_STOP_S: Final = 20.0


class NotStarted(Exception):
    """The gateway ended, or did not come up in time; the text has the end of its log."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait while a process starts: between its birth and our knowing of it nobody would end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number in waiting:
            signal.raise_signal(number)


class GatewayProcess:
    """``mitmdump -s addons.py`` with a policy and modes; its log goes to ``<folder>/gateway.log``."""

    def __init__(
        self,
        policy: Path,
        modes: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        script: Path = ADDONS,
    ) -> None:
        self.policy = policy
        self.log = folder / "gateway.log"
        self._command = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(script)]
        self._command += ["--set", f"hoopguard_policy={policy}", "--listen-host", "127.0.0.1"]
        for mode in modes:
            self._command += ["--mode", mode]
        for option in options:
            self._command += ["--set", option]
        self._env = {**os.environ, **(env or {}), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the process and wait for nothing."""
        with undisturbed(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._env,
                process_group=0,  # the terminal's Ctrl-C is not for the gateway: who started it ends it
            )

    def start(self) -> Self:
        """Start the process and wait until it governs.

        Raises:
            NotStarted: it ended, or it takes too long.
        """
        seen = self.log.stat().st_size if self.log.exists() else 0
        self.launch()
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if _READY in self.text(seen):
                return self
            if self.process is None or self.process.poll() is not None:
                raise NotStarted(self.text(seen)[-4000:])
            time.sleep(0.05)
        self.kill()
        raise NotStarted(self.text(seen)[-4000:])

    def text(self, offset: int = 0) -> str:
        """Return the log from ``offset`` bytes on."""
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")

    def wait(self, timeout_s: float = _START_S) -> int:
        """Return the exit code once the process has ended by itself."""
        if self.process is None:
            raise NotStarted("it was never started")
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """Ask the process to end, and wait for it; return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End the process without asking, as a crash would."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(_STOP_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
