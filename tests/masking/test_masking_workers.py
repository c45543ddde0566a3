"""Worker processes find what the gateway would find, and whatever happens to one means refused, never clean."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopguard.masking.detector import Budget, DetectionGaveUp, Detector, Finding
from hoopguard.masking.workers import Worker, WorkerPool
from hoopguard.policy.model import Recogniser

CUSTOM = (Recogniser(name="slow", entity="SLOW", patterns=("(x+x+)+y",)),)
DETECTOR = Detector(frozenset({"EMAIL_ADDRESS", "PHONE_NUMBER", "SLOW"}), CUSTOM)
STALLING = "xxy " + "x" * 5_000


def wanted() -> bool:
    return False


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_end(pid: int) -> None:
    while is_alive(pid):
        time.sleep(0.02)


def test_a_worker_finds_what_the_gateway_finds(shared: Worker) -> None:
    texts = ["mail bob@example.com", "", "call (415) 867-5309", "lone \ud800 surrogate \x00 ann@example.com", "xxy"]
    expected = [DETECTOR.detect(text, budget=Budget(30)) for text in texts]
    assert shared.look(DETECTOR, texts, 30, wanted) == expected
    assert Finding("EMAIL_ADDRESS", 5, 20, 1.0) in expected[0]


def test_a_worker_learns_more_than_one_detector(shared: Worker) -> None:
    other = Detector(frozenset({"IP_ADDRESS"}), ())
    assert [f.entity for f in shared.look(other, ["10.0.0.1 or a@b.co"], 30, wanted)[0]] == ["IP_ADDRESS"]
    assert [f.entity for f in shared.look(DETECTOR, ["10.0.0.1 or a@b.co"], 30, wanted)[0]] == ["EMAIL_ADDRESS"]


def test_a_text_that_takes_too_long_is_given_up_and_the_worker_goes_on(shared: Worker) -> None:
    shared.learn(DETECTOR)
    pid = shared.pid
    with pytest.raises(DetectionGaveUp, match="in time"):
        shared.look(DETECTOR, [STALLING], 0.2, wanted)
    assert shared.look(DETECTOR, ["a@b.co"], 30, wanted)[0]
    assert shared.pid == pid


def test_a_job_that_nobody_wants_any_more_is_given_up_and_the_worker_goes_on(shared: Worker) -> None:
    shared.learn(DETECTOR)
    pid = shared.pid
    text = "a@b.co " * 400_000
    with pytest.raises(DetectionGaveUp, match="run out"):
        shared.look(DETECTOR, [text], 3_600, lambda: True)
    assert shared.look(DETECTOR, ["a@b.co"], 30, wanted)[0]
    assert shared.pid == pid


def test_a_worker_that_dies_at_work_means_refused_and_is_replaced(worker: Worker) -> None:
    worker.learn(DETECTOR)
    dead = worker.pid
    assert dead is not None

    def kill() -> bool:
        os.kill(dead, signal.SIGKILL)
        return False

    with pytest.raises(DetectionGaveUp, match="failed"):
        worker.look(DETECTOR, [STALLING], 60, kill)
    assert worker.look(DETECTOR, ["a@b.co"], 30, wanted)[0]
    assert worker.pid not in (None, dead)


def test_a_worker_that_died_while_idle_is_replaced(worker: Worker) -> None:
    worker.learn(DETECTOR)
    dead = worker.pid
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    wait_for_end(dead)
    assert worker.look(DETECTOR, ["a@b.co"], 30, wanted)[0]
    assert worker.pid != dead


def test_a_worker_that_hangs_is_ended_at_its_deadline(worker: Worker) -> None:
    worker.learn(DETECTOR)
    stopped = worker.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(DetectionGaveUp, match="failed"):
        worker.look(DETECTOR, ["a@b.co"], 0.1, wanted)
    assert not is_alive(stopped)
    assert worker.pid is None


def test_a_worker_that_cannot_start_means_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DetectionGaveUp, match="could be started"):
        worker.look(DETECTOR, ["a@b.co"], 30, wanted)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(DetectionGaveUp, match="failed"):
        worker.look(DETECTOR, ["a@b.co"], 30, wanted)


def test_a_worker_gets_no_key_and_no_open_file_of_the_gateway(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOPGUARD_HASH_KEY", "canary-7c1f")
    with (tmp_path / "ledger").open("w") as ledger:
        os.set_inheritable(ledger.fileno(), True)
        worker.learn(DETECTOR)
    process = Path(f"/proc/{worker.pid}")
    assert b"canary-7c1f" not in (process / "environ").read_bytes()
    assert not [file for file in (process / "fd").iterdir() if str(file.readlink()).startswith(str(tmp_path))]


def test_what_does_not_ask_its_budget_is_ended_by_the_kernel() -> None:
    program = (
        "import re, socket\n"
        "from multiprocessing.connection import Connection\n"
        "from hoopguard.masking import worker\n"
        "class Stuck:\n"
        "    def scan(self, text, scan): re.match('(a+)+b', text)\n"
        "ours, theirs = socket.socketpair()\n"
        "worker._found(Connection(ours.detach()), Stuck(), worker.Look(0, ['a' * 100], -0.9))\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert process.returncode == -signal.SIGALRM, process.stderr


def test_no_worker_outlives_a_gateway_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import threading, time\n"
        "from hoopguard.masking.detector import Detector\n"
        "from hoopguard.masking.workers import Worker\n"
        "detector = Detector(frozenset({'EMAIL_ADDRESS'}), ())\n"
        "idle, busy = Worker(), Worker()\n"
        "idle.learn(detector), busy.learn(detector)\n"
        "job = (detector, ['a@b.co ' * 400_000], 3600, lambda: False)\n"
        "threading.Thread(target=busy.look, args=job, daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "print(idle.pid, busy.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        pids = [int(pid) for pid in gateway.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_alive(pid) for pid in pids)
        gateway.kill()
    for pid in pids:
        wait_for_end(pid)


def test_a_worker_is_ended_with_its_owner() -> None:
    worker = Worker()
    worker.learn(DETECTOR)
    pid = worker.pid
    assert pid is not None
    del worker
    assert not is_alive(pid)


def test_stopping_a_pool_ends_idle_and_busy_workers() -> None:
    pool = WorkerPool(2)
    pool.start([DETECTOR])
    pids = pool.pids
    gave_up: list[str] = []
    begun = threading.Event()

    def note_begun() -> bool:
        begun.set()
        return False

    def work() -> None:
        with pool.borrow() as worker, pytest.raises(DetectionGaveUp) as error:
            worker.look(DETECTOR, [STALLING], 3_600, note_begun)
        gave_up.append(str(error.value))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    pool.stop()
    thread.join()
    assert len(gave_up) == 1
    assert len(pids) == 2
    assert not [pid for pid in pids if is_alive(pid)]
    with pool.borrow() as worker, pytest.raises(DetectionGaveUp, match="ending"):
        worker.look(DETECTOR, ["a@b.co"], 30, wanted)
