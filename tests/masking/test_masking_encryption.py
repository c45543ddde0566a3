"""What is encrypted can be read again with the key, by nobody else, and is not encrypted twice."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import ENTITIES, cut, masker, sizes, streamed, texts

from hoopguard.masking.encryption import Cipher, reveal

KEY, OTHER = "k" * 32, "o" * 32
CIPHER = Cipher(KEY)
any_text = st.text(st.characters(), max_size=40) | st.just("\ud800")


def encrypting(*entities: str, key: str = KEY) -> Any:
    rule = {"name": "m", "entities": entities, "operator": {"encrypt": {"key": key}}, "threshold": 0.01}
    return masker(rule, recognisers=())


PII = encrypting("pack:pii")


@given(text=any_text)
def test_a_value_comes_back_with_the_key_only(text: str) -> None:
    token = CIPHER.encrypt("EMAIL_ADDRESS", text)
    assert CIPHER.decrypt(token) == text
    assert Cipher(OTHER).decrypt(token) is None


@given(place=st.integers(0, 60), bit=st.integers(0, 6))
def test_a_token_that_was_changed_says_nothing(place: int, bit: int) -> None:
    token = CIPHER.encrypt("EMAIL_ADDRESS", "bob@example.com")
    place %= len(token)
    changed = token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
    assert CIPHER.decrypt(changed) is None


def test_a_token_under_another_entitys_name_says_nothing() -> None:
    assert CIPHER.decrypt(CIPHER.encrypt("US_SSN", "x").replace("US_SSN", "CRYPTO")) is None


def test_equal_values_give_equal_tokens_and_none_shows_its_value() -> None:
    assert PII.mask("bob@example.com").text == PII.mask("bob@example.com").text
    assert "bob" not in PII.mask("bob@example.com").text


@settings(max_examples=60, deadline=None)
@given(text=texts, pieces=sizes)
def test_all_of_a_text_is_revealed_and_it_streams_as_it_is_masked(text: str, pieces: list[int]) -> None:
    masked = PII.mask(text).text
    assert reveal(masked, [CIPHER]) == (text, 0)
    assert streamed(PII.stream(), cut(text, pieces)) == masked


def test_a_text_that_is_sent_again_is_not_encrypted_twice() -> None:
    for entity in ENTITIES:
        once = PII.mask(f"see {entity}, ok").text
        assert PII.mask(once).text == once
        assert PII.mask(once).counts == {}


@pytest.mark.parametrize("forged", [Cipher(OTHER).encrypt("EMAIL_ADDRESS", "x"), f"<EMAIL_ADDRESS:enc1:{'a' * 30}>"])
def test_what_only_looks_like_a_token_is_a_value(forged: str) -> None:
    masked = PII.mask(f"a {forged} b").text
    assert forged not in masked
    assert reveal(masked, [CIPHER])[0] == f"a {forged} b"


def test_tokens_of_unknown_keys_are_counted_and_left() -> None:
    theirs, ours = Cipher(OTHER).encrypt("A", "x"), CIPHER.encrypt("A", "y")
    assert reveal(f"{theirs} {ours}", [CIPHER]) == (f"{theirs} y", 1)
    assert reveal(f"{theirs} {ours}", [CIPHER, Cipher(OTHER)]) == ("x y", 0)


def test_a_policy_says_which_key_and_no_short_one() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        encrypting("CRYPTO", key="k" * 31)
