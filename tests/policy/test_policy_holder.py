"""The policy in force, while its file changes."""

import asyncio
import logging
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import GOOD, spoiled, written

from hoopguard.policy import LoadedPolicy, PolicyError, PolicyHolder
from hoopguard.policy.values import parse_duration_s, parse_size_bytes

OBSERVING = spoiled('state = "var"', 'state = "var"\nmode = "observe"')


def edit(file: Path, text: str) -> None:
    """Write in place, and make sure that the clock's grain does not hide it."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 10**9, before + 10**9))


async def mode(holder: PolicyHolder) -> str:
    return (await holder.refresh()).policy.gateway.mode


async def test_a_changed_policy_holds_for_the_next_request(tmp_path: Path) -> None:
    """An edit in place is read at the next refresh; what began before keeps its policy."""
    holder = PolicyHolder(written(tmp_path))
    begun = await holder.refresh()
    edit(tmp_path / "policy.toml", OBSERVING)
    assert await mode(holder) == "observe"
    assert begun.policy.gateway.mode == "enforce"
    assert holder.current.policy.gateway.mode == "observe"


async def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    """Refreshing costs one look at the file's times."""
    loads: list[LoadedPolicy] = []
    holder = PolicyHolder(written(tmp_path), (loads.append,))
    assert {id(await holder.refresh()) for _ in range(5)} == {id(holder.current)}
    assert len(loads) == 1


async def test_a_policy_replaced_by_rename_is_read(tmp_path: Path) -> None:
    """As editors and configuration management do it, even with the same size and time."""
    holder = PolicyHolder(written(tmp_path))
    status = (tmp_path / "policy.toml").stat()
    fresh = tmp_path / "fresh"
    fresh.write_text(spoiled('words = ["tropical"]', 'words = ["arctical"]'))
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.replace(tmp_path / "policy.toml")
    assert (await holder.refresh()).policy.guardrails[0].words == ("arctical",)


async def test_a_policy_behind_a_changed_symlink_is_read(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap."""
    for name, text in (("one", GOOD), ("two", OBSERVING)):
        (tmp_path / name).mkdir()
        written(tmp_path / name, text.replace('state = "var"', f'state = "{tmp_path}/var"'))
    (tmp_path / "now").symlink_to("one")
    holder = PolicyHolder(tmp_path / "now" / "policy.toml")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "now")
    assert await mode(holder) == "observe"


BROKEN = {
    "not TOML": "version = ",
    "unknown key": "colour = 1\n" + OBSERVING,
    "empty": "",
    "too deep": "a = " + "[" * 50_000,
    "another state": OBSERVING.replace('state = "var"', 'state = "elsewhere"'),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_edit_keeps_the_last_good_policy_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """One error for each attempt, not one for each request; mending it is enough."""
    holder = PolicyHolder(written(tmp_path))
    good = holder.current
    edit(tmp_path / "policy.toml", broken)
    assert [await holder.refresh() for _ in range(3)] == [good] * 3
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "NOT reloaded" in errors[0].getMessage()
    edit(tmp_path / "policy.toml", OBSERVING)
    assert await mode(holder) == "observe"


async def test_a_removed_policy_keeps_holding_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file is a broken edit too; the same file back is read again."""
    holder = PolicyHolder(written(tmp_path))
    good = holder.current
    (tmp_path / "policy.toml").rename(tmp_path / "away")
    assert await holder.refresh() is good
    assert "cannot be read" in caplog.text
    (tmp_path / "away").rename(tmp_path / "policy.toml")
    assert await holder.refresh() == good
    edit(tmp_path / "policy.toml", OBSERVING)
    assert await mode(holder) == "observe"


@pytest.mark.parametrize("fault", [PolicyError(Path("p"), "", None, "refused"), RuntimeError("bug"), KeyError("x")])
async def test_a_check_that_refuses_or_crashes_keeps_the_last_good_policy(tmp_path: Path, fault: Exception) -> None:
    """A further check counts as part of reading."""
    faults: list[Exception] = []

    def check(_loaded: LoadedPolicy) -> None:
        if faults:
            raise faults[0]

    holder = PolicyHolder(written(tmp_path), (check,))
    faults.append(fault)
    edit(tmp_path / "policy.toml", OBSERVING)
    assert await mode(holder) == "enforce"
    faults.clear()
    edit(tmp_path / "policy.toml", OBSERVING)
    assert await mode(holder) == "observe"


@pytest.mark.parametrize("text", ["version = ", None])
def test_the_first_policy_has_to_be_good(tmp_path: Path, text: str | None) -> None:
    """There is no last good one to fall back to."""
    file = written(tmp_path, text) if text else tmp_path / "none.toml"
    with pytest.raises(PolicyError):
        PolicyHolder(file)


def _refuse(loaded: LoadedPolicy) -> None:
    raise PolicyError(loaded.file, "mask", None, "refused by a check")


def test_the_first_policy_has_to_pass_the_checks(tmp_path: Path) -> None:
    """A gateway does not start on a policy that a station cannot use."""
    with pytest.raises(PolicyError, match="refused by a check"):
        PolicyHolder(written(tmp_path), (_refuse,))


async def test_requests_that_come_together_load_once_and_do_not_block_the_loop(tmp_path: Path) -> None:
    """One reads, in a thread; the others wait for it."""
    loads: list[int] = []

    def check(_loaded: LoadedPolicy) -> None:
        loads.append(threading.get_ident())

    holder = PolicyHolder(written(tmp_path), (check,))
    edit(tmp_path / "policy.toml", OBSERVING)
    found = await asyncio.gather(*(holder.refresh() for _ in range(30)))
    assert {each.policy.gateway.mode for each in found} == {"observe"}
    assert len(loads) == 2
    assert loads[1] != threading.get_ident()


@given(st.integers(0, 9999), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_durations_are_read_in_their_unit(number: int, unit: tuple[str, float]) -> None:
    """A number and a unit, with or without fraction."""
    assert parse_duration_s(f"{number}{unit[0]}") == pytest.approx(number * unit[1])
    assert parse_duration_s(f"{number}.5{unit[0]}") == pytest.approx((number + 0.5) * unit[1])


@given(st.text(alphabet="0123456789.-+eEsmhdkMGB ٣²∞", max_size=12) | st.text(max_size=5) | st.integers() | st.none())
def test_what_is_no_duration_or_size_is_a_value_error(value: object) -> None:
    """Whatever is read is a finite number in range; all else says what was expected."""
    for parse in (parse_duration_s, parse_size_bytes):
        try:
            parsed = parse(value)
        except ValueError:
            continue
        assert 0 <= parsed <= 10**21
        assert str(value).isascii()


@pytest.mark.parametrize(
    ("size", "size_bytes"), [("1", 1), ("7B", 7), ("512kB", 512_000), ("10MB", 10_000_000), ("1GB", 10**9)]
)
def test_sizes_are_powers_of_a_thousand(size: str, size_bytes: int) -> None:
    """As the documentation says."""
    assert parse_size_bytes(size) == size_bytes
