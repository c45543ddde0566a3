"""Session folders and segments."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.recorder.segments import FOLDER_NAME, SegmentWriter, SessionKey, folder_name

NOW = 1_795_361_400.0
ALICE = SessionKey("staff:alice", "llama", "s1", "alice@example.com")
HOSTILE = ["../../etc/passwd", "a/b", "..", "\x00", "-rf", "x" * 10_000, "𝓪𝓵𝓲𝓬𝓮", "\u202egpj", "\ud800", "a_b\nc", ""]


def test_a_folder_is_named_by_time_subject_connection_and_session() -> None:
    assert folder_name(ALICE, NOW, "1a2b3c4d") == "20261122T153000Z_alice@example.com_llama_1a2b3c4d"


@given(st.sampled_from(HOSTILE) | st.text(st.characters(codec=None)), st.text(max_size=64))
def test_whatever_the_subject_the_name_is_one_safe_path_component(subject: str, connection: str) -> None:
    name = folder_name(SessionKey("p", connection, "s", subject), NOW, "1a2b3c4d")
    assert FOLDER_NAME.fullmatch(name)
    assert len(name) < 255
    assert ".." not in name


def test_hostile_subjects_get_folders_of_their_own_inside_the_root(tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    root.mkdir()
    writer = SegmentWriter(root, 1000, 900)
    for number, subject in enumerate(HOSTILE):
        writer.append(SessionKey(f"p{number}", "llama", "s", subject), b"flow", NOW)
    writer.close()
    assert len(list(root.iterdir())) == len(HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["sessions"]


def test_flows_stand_one_after_another_and_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 10, 900)
    places = [writer.append(ALICE, flow, NOW) for flow in (b"123456", b"1234", b"1", b"x" * 30, b"2")]
    assert [(place.segment, place.offset, place.length) for place in places] == [
        ("0001.mitm", 0, 6),
        ("0001.mitm", 6, 4),
        ("0002.mitm", 0, 1),
        ("0003.mitm", 0, 30),
        ("0004.mitm", 0, 1),
    ]
    assert (tmp_path / places[0].session / "0001.mitm").read_bytes() == b"1234561234"


def test_only_the_owner_may_read_files_and_enter_folders(tmp_path: Path) -> None:
    place = SegmentWriter(tmp_path, 10, 900).append(ALICE, b"flow", NOW)
    folder = tmp_path / place.session
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / place.segment).stat().st_mode & 0o777 == 0o600


def test_a_session_that_was_idle_too_long_goes_on_in_a_new_folder(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 1000, idle_s=10)
    first = writer.append(ALICE, b"a", NOW)
    writer.commit()
    assert writer.append(ALICE, b"b", NOW + 10).session == first.session
    writer.commit()
    assert writer.append(ALICE, b"c", NOW + 21).session != first.session


def test_what_was_not_committed_is_taken_back_and_the_room_used_again(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 10, 900)
    kept = writer.append(ALICE, b"kept", NOW)
    writer.commit()
    for flow in (b"gone", b"gone too, and in the next segment"):
        writer.append(ALICE, flow, NOW)
    writer.append(SessionKey("p", "c", "s"), b"gone", NOW)
    writer.rollback()
    assert [path.read_bytes() for path in tmp_path.glob("*/*.mitm")] == [b"kept"]
    again = writer.append(ALICE, b"again", NOW)
    assert (again.session, again.segment, again.offset) == (kept.session, "0001.mitm", 4)


def test_many_sessions_share_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, 1000, 900, max_open=3)
    for _ in range(2):
        for number in range(20):
            writer.append(SessionKey(f"p{number}", "c", "s"), b"flow", NOW)
            open_files = [path for path in Path("/proc/self/fd").iterdir() if str(tmp_path) in _target(path)]
            assert len(open_files) <= 3
    writer.sync()
    writer.commit()
    writer.close()
    assert [path.read_bytes() for path in tmp_path.glob("*/*.mitm")] == [b"flowflow"] * 20


def test_a_symbolic_link_in_place_of_a_session_is_not_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "sessions", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    writer = SegmentWriter(root, 1000, 900)
    (root / writer.folder_of(ALICE, NOW)).symlink_to(elsewhere)
    with pytest.raises(OSError, match="exists"):
        writer.append(ALICE, b"flow", NOW)
    assert not list(elsewhere.iterdir())


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""
