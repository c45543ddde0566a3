"""Lists of words out of a file are found whole, in any case and in any stream; validators decide about matches."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import cut, masker, sizes, streamed

from hoopguard.masking.checksums import CHECKSUMS
from hoopguard.masking.masker import Masker
from hoopguard.policy import PolicyError, load_policy

PEOPLE = ("Ann Smith", "Ann Smith Jones", "smith", "O'Hara", "Straße", "Jean-Luc Picard", "陳 小明", "Bob")


def listing(*phrases: str, **said: Any) -> Masker:
    table = {"name": "staff", "entity": "STAFF", "deny_list_file": phrases, **said}
    return masker({"name": "m", "entities": ("STAFF",)}, recognisers=(table,))


RULES = listing(*PEOPLE)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ask ann  SMITH, or Bob.", "ask <STAFF>, or <STAFF>."),
        ("Ann\nSmith-Jones", "<STAFF>"),
        ("Ann Smithson and Bobby", "Ann Smithson and Bobby"),
        ("Ann, as Smith said", "Ann, as <STAFF> said"),
        ("Ann Smith Bob", "<STAFF> <STAFF>"),
        ("STRASSE, o hara", "<STAFF>, <STAFF>"),
        ("jean luc picard", "<STAFF>"),
        ("Ann      Smith", "Ann      <STAFF>"),
        ("陳小明 陳 小明", "陳小明 <STAFF>"),
    ],
)
def test_phrases_are_found_whole_the_longest_first_whatever_their_case(text: str, masked: str) -> None:
    assert RULES.mask(text).text == masked


said = st.lists(
    st.tuples(
        st.sampled_from([*PEOPLE, "Ann", "Jones", "Jean", "Luc", "x", "Smi", "Annabel", "and"]),
        st.sampled_from([" ", " ", "", "-", ", ", "\n", " " * 5]),
    ).map("".join)
    | st.text(max_size=3),
    max_size=10,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=said, pieces=sizes)
def test_a_list_is_found_in_streams_as_in_the_whole(text: str, pieces: list[int]) -> None:
    assert streamed(RULES.stream(), cut(text, pieces)) == RULES.mask(text).text


@pytest.mark.parametrize(
    ("so_far", "held"),
    [
        ("hi Ann", "Ann"),
        ("hi Ann ", "Ann "),
        ("hi An", "An"),
        ("hi you", ""),
        ("Ann Smith J", "Ann Smith J"),
        ("Bob ", ""),
    ],
)
def test_held_back_is_what_could_still_become_a_phrase(so_far: str, held: str) -> None:
    stream = RULES.stream()
    stream.feed(so_far)
    assert stream.held_chars == len(held)


def test_context_words_make_a_listed_word_surer() -> None:
    table = {"name": "p", "entity": "STAFF", "deny_list_file": ("May",), "score": 0.3, "context": ("colleague",)}
    rules = masker({"name": "m", "entities": ("STAFF",), "threshold": 0.6}, recognisers=(table,))
    assert rules.mask("In May my colleague May").text == "In May my colleague <STAFF>"


POLICY = """
version = 1
[[issuer]]
name = "staff"
url = "https://id.example.com"
audience = "hoopguard"
[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
allow = [{ groups = ["ml"] }]
[[recogniser]]
name = "people"
entity = "STAFF"
deny_list_file = "people.txt"
"""


def written(folder: Path, listed: bytes) -> Path:
    (folder / "people.txt").write_bytes(listed)
    (folder / "policy.toml").write_text(POLICY)
    return folder / "policy.toml"


def test_a_file_has_one_phrase_a_line_and_comments(tmp_path: Path) -> None:
    loaded = load_policy(written(tmp_path, "# staff\r\nAnn Smith\r\n\r\n  Zoë \n".encode()))
    assert loaded.policy.recognisers[0].deny_list_file == ("Ann Smith", "Zoë")


def test_a_policy_whose_list_has_changed_is_another_policy(tmp_path: Path) -> None:
    before = load_policy(written(tmp_path, b"Ann"))
    assert load_policy(written(tmp_path, b"Ann")) == before
    after = load_policy(written(tmp_path, b"Bob"))
    assert (after == before, after.digest == before.digest) == (False, True)


@pytest.mark.parametrize(
    ("listed", "expected"), [(b"# nobody\n", "one a line"), (b"Ann\n--\n", "one a line"), (b"\xff", "UTF-8")]
)
def test_a_list_that_says_nothing_is_a_mistake(tmp_path: Path, listed: bytes, expected: str) -> None:
    with pytest.raises(PolicyError, match=expected):
        load_policy(written(tmp_path, listed))


def test_a_list_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    file = written(tmp_path, b"Ann")
    (tmp_path / "people.txt").unlink()
    with pytest.raises(PolicyError, match=r"people\.txt"):
        load_policy(file)


VALID = {
    "luhn": ("79927398713", "4111 1111 1111 1111"),
    "mod11": ("0-306-40615-2", "080442957X"),
    "mod11_10": ("86095742719", "07945"),
    "mod97": ("GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"),
    "verhoeff": ("2363", "234123412346"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts])
def test_a_checksum_holds_for_known_numbers_and_for_none_with_another_last_digit(name: str, text: str) -> None:
    check = CHECKSUMS[name]
    assert check(text)
    others = [text[:-1] + digit for digit in "0123456789" if digit != text[-1]]
    assert not any(check(other) for other in others)


@pytest.mark.parametrize("name", CHECKSUMS)
@pytest.mark.parametrize("text", ["", "-", "0", "X"])
def test_what_has_no_two_digits_has_no_checksum(name: str, text: str) -> None:
    assert not CHECKSUMS[name](text)


def test_a_match_with_a_wrong_checksum_is_left_and_one_with_a_right_one_is_certain() -> None:
    table = {"name": "n", "entity": "MEMBER", "patterns": [r"\bM\d{4}\b"], "validate": "verhoeff", "score": 0.1}
    rules = masker({"name": "m", "entities": ("MEMBER",), "threshold": 1.0}, recognisers=(table,))
    assert rules.mask("M2363 M2364").text == "<MEMBER> M2364"


def test_validate_without_patterns_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="patterns together with validate"):
        listing("Ann", validate="luhn")
