"""``make bench``: ratios of one run; absolute figures are this machine's, on this day."""

import argparse
import asyncio
import functools
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import beside, detection, streams
from bench.load import Result, chat_body, load
from hoopguard.demo.issuer import DemoIssuer
from hoopguard.demo.stack import GatewayProcess, free_port

BUFFERING = "bare mitmdump"
STREAMING = "bare mitmdump, passing streams on"
MODEL_KEY = "sk-bench-model-key"

POLICY = """
version = 1
[[issuer]]
name = "bench"
url = "{issuer}"
audience = "hoopguard"
claims = {{ subject = "sub", groups = "groups" }}
[[connection]]
name = "model"
upstream = "http://127.0.0.1:{model}"
credential = {{ value = "Bearer ${{env:BENCH_MODEL_KEY}}" }}
allow = [{{ groups = ["ml"] }}]
[[guardrail]]
name = "private-keys"
on = "both"
patterns = ['-----BEGIN (\\w+ )?PRIVATE KEY-----']
action = "block"
[[guardrail]]
name = "bulk-export"
patterns = ['(?i)\\b(dump|export|list) (all|every) (customers?|users?|patients?)\\b']
action = "approve"
approval = "owners"
[[guardrail]]
name = "code-names"
on = "both"
words = ["bluebird", "project nightfall"]
action = "flag"
[[approval]]
name = "owners"
reviewers = ["owners"]
[[mask]]
name = "personal-data"
entities = ["pack:pii"]
[record]
durability = "{durability}"
"""


@dataclass(frozen=True)
class Target:
    """Something that answers chat requests."""

    name: str
    port: int
    headers: dict[str, str]
    pid: int

    def cpu_s(self) -> float:
        """Return the processor seconds that the target's process has used so far (``proc_pid_stat(5)``)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _process(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    import socket

    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def _targets(stack: ExitStack, folder: Path, durability: str, model: int = 0) -> list[Target]:
    """Start the targets; the demo's model if none listens on a port yet."""
    model_pid = os.getpid()
    if not model:
        model = free_port()
        command = [sys.executable, "-m", "hoopguard.demo.model", "--port", str(model), "--api-key", MODEL_KEY]
        model_pid = stack.enter_context(_process(command, model))
    bare, streaming, guarded = free_port(), free_port(), free_port()
    upstream = f"reverse:http://127.0.0.1:{model}"
    mitmdump = str(Path(sys.executable).with_name("mitmdump"))
    bare_pid = stack.enter_context(_process([mitmdump, "--mode", f"{upstream}@127.0.0.1:{bare}"], bare))
    letting_pass = [mitmdump, "--set", "stream_large_bodies=1", "--mode", f"{upstream}@127.0.0.1:{streaming}"]
    streaming_pid = stack.enter_context(_process(letting_pass, streaming))
    issuer = stack.enter_context(DemoIssuer())
    policy = folder / "policy.toml"
    policy.write_text(POLICY.format(issuer=issuer.url, model=model, durability=durability))
    gateway = GatewayProcess(
        policy, [f"{upstream}@127.0.0.1:{guarded}"], folder=folder, env={"BENCH_MODEL_KEY": MODEL_KEY}
    )
    process = stack.enter_context(gateway).process
    key = {"Authorization": f"Bearer {MODEL_KEY}"}
    token = {"Authorization": f"Bearer {issuer.token('bench', groups=['ml'])}"}
    return [
        Target("the model alone", model, key, model_pid),
        Target(BUFFERING, bare, key, bare_pid),
        Target(STREAMING, streaming, key, streaming_pid),
        Target(f"hoopguard, everything on ({durability})", guarded, token, process.pid if process else 0),
    ]


def _measure(targets: list[Target], *, stream: bool, arguments: argparse.Namespace) -> dict[str, list[Result]]:
    """Load the targets in turn, several rounds, so that a drift of the machine meets them all."""
    body = functools.partial(chat_body, random.Random(1), stream=stream)
    results: dict[str, list[Result]] = {target.name: [] for target in targets}
    for number in range(arguments.rounds + 1):
        for target in targets:
            seconds = arguments.seconds if number else 1.0
            run = load(target.port, target.headers, body, seconds=seconds, connections=arguments.connections)
            before = target.cpu_s()
            result = asyncio.run(run)
            result.cpu_s = target.cpu_s() - before
            if number:
                results[target.name].append(result)
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return results


def _report(title: str, results: dict[str, list[Result]], *, stream: bool) -> None:
    print(f"\n{title}")
    columns = f"{'':44}{'answers/s':>10}{'median ms':>11}{'p99 ms':>9}{'cpu ms':>8}" + (
        f"{'first token ms':>16}" if stream else ""
    )
    print(columns + f"{'of bare':>9}")
    bare = results[STREAMING if stream else BUFFERING]
    for name, runs in results.items():
        row = f"  {name:42}{_median(runs, lambda r: r.rate):>10.0f}{_median(runs, lambda r: r.median_ms):>11.2f}"
        row += f"{_median(runs, lambda r: r.p99_ms):>9.1f}{_median(runs, lambda r: r.cpu_ms):>8.2f}"
        if stream:
            row += f"{_median(runs, lambda r: r.first_ms):>16.2f}"
        ratio = statistics.median(run.rate / other.rate for run, other in zip(runs, bare, strict=True))
        print(row + f"{ratio:>9.2f}")


def _median(runs: list[Result], figure: Callable[[Result], float]) -> float:
    return statistics.median(figure(run) for run in runs)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count, after one that does not")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds a target and round")
    parser.add_argument("--connections", type=int, default=16, help="callers at once")
    parser.add_argument("--streams", type=int, default=2000, help="streams over which memory is watched")
    parser.add_argument("--durability", choices=("fsync", "flush"), default="fsync")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{arguments.connections} callers, {arguments.rounds} rounds of {arguments.seconds:g} s; medians")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = _targets(stack, Path(folder), arguments.durability)
        for stream in (False, True):
            title = (
                "Streamed answers (bare: passing streams on)"
                if stream
                else "Whole answers (200 characters asked, all different)"
            )
            _report(title, _measure(targets, stream=stream, arguments=arguments), stream=stream)
        beside.report(targets[-1], seconds=2 * arguments.seconds, connections=arguments.connections // 2)
    model = streams.PacedModel()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        streams.report(
            model,
            _targets(stack, Path(folder), arguments.durability, model.port)[2:],
            rounds=arguments.rounds,
            streams=arguments.streams,
            connections=arguments.connections,
        )
    detection.report(arguments.rounds)
    detection.report_holding()
    return 0


if __name__ == "__main__":
    sys.exit(main())
