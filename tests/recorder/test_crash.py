"""Real processes that are killed, and files that may not grow."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import entries, open_recorder

from hoopguard.recorder.verify import verify

APPENDER = Path(__file__).with_name("appender.py")


def start(state: Path, durability: str, run: str, limit: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, str(APPENDER), str(state), durability, run, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("durability", ["fsync", "flush"])
async def test_what_was_acknowledged_before_a_kill_is_there_after_the_next_start(
    tmp_path: Path, durability: str
) -> None:
    acknowledged: set[str] = set()
    for run in range(10):
        process = start(tmp_path, durability, str(run))
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(random.uniform(0, 0.25))
        process.kill()
        told = process.stdout.read().splitlines(keepends=True)
        process.stdout.close()
        process.wait()
        acknowledged |= {line.strip() for line in told if line.endswith("\n")}
    await open_recorder(tmp_path).close()
    report = verify(tmp_path)
    assert report.problems == ()
    found = {f"{entry['type']} {entry['exchange']}" for entry in entries(tmp_path)}
    assert len(acknowledged) > 100
    assert acknowledged <= found


@pytest.mark.parametrize("durability", ["fsync", "flush"])
@pytest.mark.parametrize("limit", [20_000, 20_001, 33_333])
def test_a_file_that_may_not_grow_fails_the_append_and_no_more_than_that(
    tmp_path: Path, durability: str, limit: int
) -> None:
    process = start(tmp_path, durability, "full", limit)
    told = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert sum(line.startswith("failed the record cannot be written") for line in told) == 3
    assert verify(tmp_path).problems == ()
    found = {f"{entry['type']} {entry['exchange']}" for entry in entries(tmp_path)}
    assert {line for line in told if line.startswith("outcome")} | {"outcome hg-last"} == {
        line for line in found if line.startswith("outcome")
    }
