"""Operators hide what was found; overlaps become one span, and rules are taken in the policy's order."""

import hashlib
import hmac
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import masker, policy

from hoopguard.masking.masker import Masker
from hoopguard.masking.operators import Claim, merge, operator_for
from hoopguard.policy.masking import Hash, MaskChars, Operator, Replace

KEY = "a key of some length"


def test_replace_puts_the_entitys_name() -> None:
    assert operator_for(Operator(replace=Replace()))("EMAIL_ADDRESS", "bob@example.com") == "<EMAIL_ADDRESS>"


@pytest.mark.parametrize("text", ["[hidden]", ""])
def test_replace_puts_the_policys_own_text_even_if_it_is_empty(text: str) -> None:
    operator = Operator(replace=Replace.model_validate({"with": text}))
    assert operator_for(operator)("EMAIL_ADDRESS", "bob@example.com") == text


def test_mask_hides_all_but_the_last_characters() -> None:
    operate = operator_for(Operator(mask=MaskChars(char="#", keep_last=4)))
    assert operate("CREDIT_CARD", "4111 1111 1111 1234") == "###############1234"


def test_mask_shows_nothing_of_a_value_as_short_as_what_may_be_kept() -> None:
    operate = operator_for(Operator(mask=MaskChars(keep_last=4)))
    assert operate("PIN", "1234") == "****"


def test_hash_is_keyed_and_the_same_for_the_same_value() -> None:
    operate = operator_for(Operator(hash=Hash.model_validate({"key": KEY})))
    expected = hmac.new(KEY.encode(), b"bob@example.com", hashlib.sha256).hexdigest()
    assert operate("EMAIL_ADDRESS", "bob@example.com") == expected
    assert operate("EMAIL_ADDRESS", "\ud800") != expected


def test_redact_leaves_nothing() -> None:
    assert operator_for(Operator(redact=True))("EMAIL_ADDRESS", "bob@example.com") == ""


claims = st.lists(
    st.builds(
        lambda start, length, score, entity: Claim(start, start + length, entity, score, 0),
        st.integers(0, 30),
        st.integers(1, 9),
        st.sampled_from([0.4, 0.6, 1.0]),
        st.sampled_from(["A", "B", "C"]),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(found=claims)
def test_merged_spans_cover_exactly_what_was_claimed_and_do_not_overlap(found: list[Claim]) -> None:
    merged = merge(found)
    covered = [place for claim in merged for place in range(claim.start, claim.end)]
    assert covered == sorted({place for claim in found for place in range(claim.start, claim.end)})


def test_a_merged_span_is_named_by_the_surest_then_longest_then_earliest() -> None:
    sure, long, early = Claim(4, 6, "SURE", 0.9, 0), Claim(0, 5, "LONG", 0.5, 1), Claim(1, 5, "EARLY", 0.5, 2)
    late = Claim(2, 6, "LATE", 0.5, 3)
    for order in permutations([sure, long, early, late]):
        assert merge(order) == [Claim(0, 6, "SURE", 0.9, 0)]
    for order in permutations([long, early, late]):
        assert merge(order) == [Claim(0, 6, "LONG", 0.5, 1)]
    for order in permutations([early, late]):
        assert merge(order) == [Claim(1, 6, "EARLY", 0.5, 2)]


def test_claims_that_only_touch_stay_apart() -> None:
    assert len(merge([Claim(0, 2, "A", 1.0, 0), Claim(2, 4, "A", 1.0, 0)])) == 2


def test_the_first_rule_that_claims_a_finding_decides_how_it_is_hidden() -> None:
    rules = masker(
        {"name": "sure", "entities": ("PHONE_NUMBER",), "threshold": 0.7, "operator": "redact"},
        {"name": "any", "entities": ("PHONE_NUMBER", "EMAIL_ADDRESS"), "threshold": 0.4},
    )
    masked = rules.mask("(415) 867-5309, and phone (415) 867-5309 or bob@example.com")
    assert masked.text == "<PHONE_NUMBER>, and phone  or <EMAIL_ADDRESS>"
    assert masked.counts == {"PHONE_NUMBER": 2, "EMAIL_ADDRESS": 1}


def test_a_finding_below_the_threshold_is_left() -> None:
    rules = masker({"name": "sure", "entities": ("PHONE_NUMBER",), "threshold": 0.5})
    assert rules.mask("(415) 867-5309").text == "(415) 867-5309"


@pytest.mark.parametrize(
    ("rule", "request_too", "response_too"),
    [
        ({"on": "request"}, True, False),
        ({"on": "response"}, False, True),
        ({"on": "both"}, True, True),
        ({"connections": ("llm",)}, True, True),
        ({"connections": ("other",)}, False, False),
    ],
)
def test_a_masker_exists_only_where_a_rule_applies(
    rule: dict[str, object], request_too: bool, response_too: bool
) -> None:
    made = policy({"name": "m", "entities": ("EMAIL_ADDRESS",), **rule})
    assert (Masker.build(made, "llm", "request") is not None) == request_too
    assert (Masker.build(made, "llm", "response") is not None) == response_too


def test_an_unknown_entity_of_a_rule_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="SHOE_SIZE"):
        masker({"name": "m", "entities": ("SHOE_SIZE",)})


def test_importing_the_masking_package_does_not_import_presidio() -> None:
    import subprocess
    import sys

    code = "import hoopguard.masking.masker, sys; sys.exit('presidio_analyzer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
