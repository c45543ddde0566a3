"""The demo's processes and clients: two issuers, two models, the gateway; and who talks to them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
from openai import DefaultHttpxClient, OpenAI

from hoopguard.demo.installation import HOOPGUARD, PROJECT, Installation, write_secret
from hoopguard.demo.loopback import LOOPBACK
from hoopguard.demo.stack import GatewayProcess, NotStarted, undisturbed

MITMDUMP: Final = str(Path(sys.executable).with_name("mitmdump"))
MITMWEB: Final = str(Path(sys.executable).with_name("mitmweb"))
TOKEN_DELAY_MS: Final = 40
_START_S: Final = 30.0
_STOP_S: Final = 10.0
_ANSWER_S: Final = 75.0


class Helper:
    """One of the demo's own servers as a process, ``python -m hoopguard.demo.<module>``."""

    def __init__(self, module: str, name: str, port: int, logs: Path, *options: str) -> None:
        self.name = name
        self.url = f"http://{LOOPBACK}:{port}"
        self.log = logs / f"{name}.log"
        self._ready = logs / f"{name}.port"
        command = [sys.executable, "-m", f"hoopguard.demo.{module}", "--port", str(port)]
        self._command = [*command, "--port-file", str(self._ready), *options]
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the process and wait for nothing. It is deaf to the terminal's Ctrl-C: we end it in its turn."""
        self._ready.unlink(missing_ok=True)
        with undisturbed(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=PROJECT,
                process_group=0,
            )

    def wait(self) -> None:
        """Return once it listens.

        Raises:
            NotStarted: it ended, or it takes too long.
        """
        until = time.monotonic() + _START_S
        while not self._ready.exists():
            if self.process is None or self.process.poll() is not None or time.monotonic() > until:
                raise NotStarted(f"{self.name}: {self.log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask the process to end, and see to it that it does."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_S)
        self._ready.unlink(missing_ok=True)


class Stage:
    """All processes, from ``open`` to ``close``; and the clients' means to talk to them."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        ports, logs = installation.ports, installation.logs
        delay = ("--token-delay-ms", str(TOKEN_DELAY_MS))
        self.staff = Helper("issuer", "issuer-staff", ports.staff, logs)
        self.ci = Helper("issuer", "issuer-ci", ports.ci, logs)
        self.llama = Helper("model", "model-llama", ports.llama, logs, *delay)
        self.coder = Helper("model", "model-coder", ports.coder, logs, *delay)
        self.helpers = (self.staff, self.ci, self.llama, self.coder)
        modes = (f"reverse:{self.llama.url}@{ports.reverse}", f"regular@{ports.forward}")
        self.gateway = GatewayProcess(installation.policy, modes, folder=logs)
        self.reverse_url = f"http://{LOOPBACK}:{ports.reverse}"
        self.forward = f"{LOOPBACK}:{ports.forward}"
        self.tokens: set[str] = set()
        self.memory: dict[str, Any] = {}  # what one step leaves for the next
        self._http = httpx.Client(trust_env=False, timeout=_ANSWER_S)
        self._stack = ExitStack()

    def open(self) -> None:
        """Start all processes and wait until each of them is ready; ``close`` ends them, also those of a failed start.

        Raises:
            NotStarted: one of them did not come up.
        """
        self._stack.callback(self._http.close)
        for helper in self.helpers:
            self._stack.callback(helper.stop)
            helper.launch()
        for helper in self.helpers:
            helper.wait()
        self._stack.callback(self.gateway.stop)
        self.gateway.start()

    def close(self) -> None:
        """End all processes, the gateway first; an impatient Ctrl-C does not keep it from that."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._stack.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def logs(self) -> dict[str, Path]:
        """Return the log of each process."""
        return {"gateway": self.gateway.log, **{helper.name: helper.log for helper in self.helpers}}

    def ended(self) -> list[str]:
        """Return the names of the processes that have ended by themselves."""
        processes = {"gateway": self.gateway.process, **{helper.name: helper.process for helper in self.helpers}}
        return [name for name, process in processes.items() if process is None or process.poll() is not None]

    # ── the world around the gateway ──

    def token(self, issuer: Helper, subject: str, **asked: Any) -> str:
        """Have an issuer sign a token."""
        reply = self._http.post(f"{issuer.url}/token", json={"subject": subject, **asked})
        token = str(reply.raise_for_status().json()["access_token"])
        self.tokens.add(token)
        return token

    def token_file(self, name: str, token: str) -> Path:
        """Write a token where only its owner can read it."""
        file = self.installation.state / f"token-{name}"
        write_secret(file, token)
        return file

    def seen(self, model: Helper) -> list[dict[str, Any]]:
        """Return the requests that have reached a model, the oldest first."""
        seen: list[dict[str, Any]] = self._http.get(f"{model.url}/_seen").raise_for_status().json()
        return seen

    def forget(self, model: Helper) -> None:
        """Have a model forget what it has seen."""
        self._http.delete(f"{model.url}/_seen").raise_for_status()

    def behave(self, model: Helper, mode: str, **parameters: Any) -> None:
        """Tell a model how to take its next request."""
        self._http.post(f"{model.url}/_behave", json={"mode": mode, **parameters}).raise_for_status()

    def sdk(self, token: str, path: str = "/v1") -> OpenAI:
        """Return the OpenAI SDK as a caller sets it up: the gateway as its base URL, the token as its key."""
        client = DefaultHttpxClient(trust_env=False, timeout=_ANSWER_S)
        self._stack.callback(client.close)
        return OpenAI(base_url=f"{self.reverse_url}{path}", api_key=token, http_client=client)

    # ── programs of their own ──

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program with nothing of our own environment but the PATH."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.installation.state),
            "NO_COLOR": "1",
            **variables,
        }
        return subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=False, env=env)

    def hoopguard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the real command line."""
        return self.run(HOOPGUARD, *arguments, HOOPGUARD_POLICY=str(self.installation.policy))

    def curl(self, *arguments: str) -> tuple[int, str]:
        """Run curl against the gateway; return the HTTP status and the body."""
        done = self.run("curl", "-sS", "-w", "\n%{http_code}", *arguments)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body or done.stderr.strip()


def chat(prompt: str, model: str = "llama-3-8b", **more: Any) -> str:
    """Return the JSON of a chat request."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], **more})
