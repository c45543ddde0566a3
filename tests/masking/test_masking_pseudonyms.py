"""Placeholders stand for one value each in one session, and only who sent a value gets it back."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import ENTITIES, PatientMasker, cut, policy, sizes, streamed, texts

from hoopguard.masking.masker import Masker
from hoopguard.masking.pseudonyms import Vault, Vaults
from hoopguard.masking.restoring import Restorer

PII = {"name": "pii", "entities": ("pack:pii",), "operator": "pseudonym", "threshold": 0.01}
BOB, ANN = "bob@example.com", "ann@example.org"


def built(direction: Literal["request", "response"], **gateway: Any) -> Masker:
    found = PatientMasker.build(policy(PII, recognisers=(), **gateway), "llm", direction)
    assert found is not None
    return found


REQUEST, ANSWER = built("request"), built("response")


def sent(vault: Vault, text: str) -> str:
    return REQUEST.bound(vault).mask(text).text


def shown(vault: Vault, text: str) -> str:
    return ANSWER.bound(vault).mask(text).text


literals = st.builds("<{}_{}>".format, st.sampled_from(["EMAIL_ADDRESS", "PHONE_NUMBER", "CRYPTO"]), st.integers(0, 4))
pieces = st.one_of(st.sampled_from(ENTITIES), literals, texts, st.sampled_from(["<", "<EMAIL_ADDRESS_", ">", "1>"]))
talk = st.lists(st.tuples(pieces, st.sampled_from([" ", ", ", "", "\n"])).map("".join), max_size=8).map("".join)


@settings(max_examples=120, deadline=None)
@given(turns=st.lists(talk, min_size=1, max_size=4))
def test_what_a_caller_sent_comes_back_as_it_was_literal_placeholders_too(turns: list[str]) -> None:
    vault = Vault()
    masked = [sent(vault, turn) for turn in turns]
    assert [vault.restorer().restore(text) for text in masked] == turns
    assert [sent(vault, turn) for turn in turns] == masked


@settings(max_examples=150, deadline=None)
@given(text=talk, turn=talk, pieces=sizes)
def test_restoring_a_stream_gives_what_restoring_the_whole_gives(text: str, turn: str, pieces: list[int]) -> None:
    vault = Vault()
    text = sent(vault, turn) + text
    restorer = vault.restorer()
    assert streamed(restorer.stream(), cut(text, pieces)) == restorer.restore(text)


@settings(max_examples=100, deadline=None)
@given(text=talk, pieces=sizes)
def test_a_masked_answer_streams_as_it_is_masked_with_a_vault(text: str, pieces: list[int]) -> None:
    one, other = Vault(), Vault()
    assert sent(one, text) == sent(other, text)
    assert streamed(ANSWER.bound(one).stream(), cut(text, pieces)) == shown(other, text)


values = st.text(alphabet='ab"\\\n\t{}[]:,<>_1é\ud800\x00\u2028', min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(value=values, around=st.text(alphabet='a"\\<>\n', max_size=5), pieces=sizes, ascii_only=st.booleans())
def test_a_value_put_back_into_json_stays_in_its_string(
    value: str, around: str, pieces: list[int], ascii_only: bool
) -> None:
    restorer = Restorer({"<SECRET_1>": value})
    document = {"a": f"{around}<SECRET_1>{around}", "<SECRET_1>": [1, "<SECRET_2>"]}
    text = json.dumps(document, ensure_ascii=ascii_only)
    whole = restorer.restore_json(text)
    assert json.loads(whole) == {"a": f"{around}{value}{around}", value: [1, "<SECRET_2>"]}
    assert streamed(restorer.json_stream(), cut(text, pieces)) == whole


def test_an_escaped_placeholder_in_json_is_one() -> None:
    assert Restorer({"<A_1>": 'x"y'}).restore_json('{"a": "\\u003cA_1\\u003e"}') == '{"a": "x\\"y"}'


def test_outside_of_strings_a_value_brings_no_quotes_into_what_should_be_json() -> None:
    assert Restorer({"<A_1>": '1, "admin": true'}).restore_json('{"a": <A_1>}') == '{"a": 1, \\"admin\\": true}'


def test_equal_values_have_one_placeholder_and_different_ones_have_two() -> None:
    vault = Vault()
    assert sent(vault, f"{BOB} {ANN} {BOB}") == "<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2> <EMAIL_ADDRESS_1>"
    assert sent(vault, f"to {ANN}") == "to <EMAIL_ADDRESS_2>"


def test_what_the_model_brings_up_itself_stays_hidden() -> None:
    vault = Vault()
    assert sent(vault, BOB) == "<EMAIL_ADDRESS_1>"
    answer = shown(vault, f"{BOB} knows {ANN}, as does <EMAIL_ADDRESS_1>")
    assert answer == "<EMAIL_ADDRESS_1> knows <EMAIL_ADDRESS_2>, as does <EMAIL_ADDRESS_1>"
    assert vault.restorer().restore(answer) == f"{BOB} knows <EMAIL_ADDRESS_2>, as does {BOB}"


def test_a_placeholder_that_was_shown_means_the_same_when_it_is_sent_back() -> None:
    vault = Vault()
    assert shown(vault, ANN) == "<EMAIL_ADDRESS_1>"
    assert sent(vault, "who is <EMAIL_ADDRESS_1>?") == "who is <EMAIL_ADDRESS_1>?"
    assert vault.restorer().restore("<EMAIL_ADDRESS_1>") == "<EMAIL_ADDRESS_1>"


def test_a_literal_takes_its_number_or_is_hidden_as_a_value() -> None:
    vault = Vault()
    assert sent(vault, f"<EMAIL_ADDRESS_1> is {BOB}") == "<EMAIL_ADDRESS_1> is <EMAIL_ADDRESS_2>"
    assert sent(vault, "<EMAIL_ADDRESS_2>") == "<EMAIL_ADDRESS_3>"
    assert vault.restorer().restore("<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_3>") == "<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2>"


def test_a_number_in_the_shape_of_a_placeholder_is_no_way_out() -> None:
    assert "4158675309" not in sent(Vault(), "phone <PHONE_NUMBER_4158675309> <CALL_4158675309>")


def test_placeholders_are_not_counted_as_hidden() -> None:
    assert REQUEST.bound(Vault()).mask("<EMAIL_ADDRESS_1>").counts == {}


def test_without_a_vault_values_are_hidden_all_the_same() -> None:
    assert REQUEST.mask(f"{BOB} <EMAIL_ADDRESS_7>").text == "<EMAIL_ADDRESS> <EMAIL_ADDRESS_7>"


def test_only_a_masker_with_pseudonyms_needs_a_vault() -> None:
    plain = Masker.build(policy({"name": "m", "entities": ("CRYPTO",)}, recognisers=()), "llm", "request")
    assert plain is not None
    assert (REQUEST.needs_vault, plain.needs_vault) == (True, False)


def test_another_session_never_gets_a_value_back() -> None:
    vaults = Vaults()
    mine, theirs = vaults.open(("ann", "s1", "llm"), 0.0), vaults.open(("ann", "s2", "llm"), 0.0)
    assert (sent(mine, BOB), sent(theirs, ANN)) == ("<EMAIL_ADDRESS_1>", "<EMAIL_ADDRESS_1>")
    assert mine.restorer().restore("<EMAIL_ADDRESS_1>") == BOB
    assert theirs.restorer().restore("<EMAIL_ADDRESS_1>") == ANN


def test_a_session_keeps_its_vault_until_it_idles() -> None:
    vaults = Vaults(idle_s=60)
    first = vaults.open(("ann", "s", "llm"), 0.0)
    assert vaults.open(("ann", "s", "llm"), 50.0) is first
    assert vaults.open(("ann", "s", "llm"), 100.0) is first
    vaults.open(("bob", "s", "llm"), 170.0)
    assert len(vaults) == 1
    assert vaults.open(("ann", "s", "llm"), 171.0) is not first


def test_there_are_never_more_vaults_than_allowed_and_the_longest_idle_goes() -> None:
    vaults = Vaults(most_vaults=2)
    kept = [vaults.open(("ann", str(number), "llm"), float(number)) for number in range(3)]
    assert len(vaults) == 2
    assert vaults.open(("ann", "2", "llm"), 3.0) is kept[2]
    assert vaults.open(("ann", "0", "llm"), 4.0) is not kept[0]


@pytest.mark.parametrize("bounds", [{"most_values": 2}, {"most_chars": 2 * len(BOB)}])
def test_a_full_vault_forgets_the_oldest_value_and_never_gives_its_placeholder_away(bounds: dict[str, int]) -> None:
    vault = Vault(**bounds)
    for name in ("abc", "bcd", "abc", "cde"):
        sent(vault, f"{name}@example.com")
    restored = vault.restorer().restore("<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2> <EMAIL_ADDRESS_3>")
    assert restored == "abc@example.com <EMAIL_ADDRESS_2> cde@example.com"
    assert sent(vault, "bcd@example.com") == "<EMAIL_ADDRESS_4>"


@pytest.mark.parametrize(
    ("so_far", "held"),
    [
        ("a < b", ""),
        ("a <", "<"),
        ("a <EMAIL_ADDR", "<EMAIL_ADDR"),
        ("a <EMAIL_ADDRESS_1", "<EMAIL_ADDRESS_1"),
        ("a <EMAIL_ADDRESS_2", ""),
        ("a <div", ""),
        ("a <PHONE", ""),
        ("plain prose", ""),
    ],
)
def test_only_what_could_become_a_placeholder_of_this_session_is_held(so_far: str, held: str) -> None:
    vault = Vault()
    sent(vault, BOB)
    stream = vault.restorer().stream()
    assert stream.feed(so_far) == so_far.removesuffix(held)
    assert stream.held_chars == len(held)


def test_a_vault_shows_nothing_of_what_it_holds() -> None:
    vault = Vault()
    sent(vault, BOB)
    assert "bob" not in repr(vault) + repr(vars(vault)["_values"].popitem()[1])
