"""Pseudonyms: the model works with placeholders, its caller reads their own values, the record keeps them hidden."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Site, streamed_text

RULES = """
[[mask]]
name = "personal-data"
entities = ["EMAIL_ADDRESS", "CREDIT_CARD"]
operator = "pseudonym"
[record]
durability = "flush"
"""
BOB, ANN, CARD = "bob@example.com", "ann@example.com", "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("pseudonyms")) as site:
        site.write_policy(RULES)
        site.start()
        yield site
        site.stop()
        site.assert_books_balance()
        site.verify()


def recorded(site: Site) -> bytes:
    return b"".join(path.read_bytes() for path in Path(site.state).rglob("*") if path.is_file())


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_gets_their_own_values_back_and_nobody_else_sees_them(hiding: Site, stream: bool) -> None:
    """Whole and streamed, the placeholder cut over several tokens."""
    hiding.model.forget()
    token = hiding.token(f"own-{stream}@example.com")
    answer = hiding.ask(f"say: mail {BOB}, then {ANN}, then {BOB}; pay {CARD}", token=token, stream=stream)
    text = streamed_text(answer.text) if stream else answer.json()["choices"][0]["message"]["content"]
    assert text == f"mail {BOB}, then {ANN}, then {BOB}; pay {CARD}"
    said = "mail <EMAIL_ADDRESS_1>, then <EMAIL_ADDRESS_2>, then <EMAIL_ADDRESS_1>; pay <CREDIT_CARD_1>"
    assert hiding.prompts == [f"say: {said}"]
    kept = recorded(hiding)
    assert BOB.encode() not in kept
    assert CARD.encode() not in kept
    assert b"<EMAIL_ADDRESS_2>" in kept


def test_what_the_model_says_by_itself_stays_hidden(hiding: Site) -> None:
    """A value that the caller never sent has a placeholder for them, too."""
    answer = hiding.ask("who is the customer", token=hiding.token("curious@example.com"))
    text = answer.json()["choices"][0]["message"]["content"]
    assert "<EMAIL_ADDRESS_1>" in text
    assert "ada.lovelace" not in text


def test_another_session_s_placeholder_is_a_text_like_any_other(hiding: Site) -> None:
    """Nobody gets back what somebody else has sent."""
    hiding.ask(f"say: {BOB}", token=hiding.token("first@example.com"))
    answer = hiding.ask("say: <EMAIL_ADDRESS_1>", token=hiding.token("second@example.com"))
    assert answer.json()["choices"][0]["message"]["content"] == "<EMAIL_ADDRESS_1>"
