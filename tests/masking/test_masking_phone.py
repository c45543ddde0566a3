"""Phone numbers are found as phonenumbers finds them, though most candidates are never parsed."""

from typing import Any

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from presidio_analyzer.predefined_recognizers import PhoneRecognizer

from hoopguard.masking.phone import find_phone_numbers
from hoopguard.masking.phone_digits import could_be_number
from hoopguard.masking.recognisers import GuardedPhoneRecognizer
from hoopguard.masking.scan import Budget, Scan, scanning

FORMATS = [PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL]
REGIONS = GuardedPhoneRecognizer.REGIONS


def examples() -> list[str]:
    """Every region's example of every type of number, written in every way."""
    found: set[str] = set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.update(phonenumbers.format_number(number, style) for style in FORMATS)
    return sorted(found)


EXAMPLES = examples()
PREFIXES = ("", "0", "1", "00", "011", "90", "1-", "0 ", "49", "91 ", "0041", "(0)", "972", "55 0 ")


def is_number(text: str, region: str) -> bool:
    matcher: Any = phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID)
    try:
        return matcher._parse_and_verify(text, 0) is not None
    except phonenumbers.NumberParseException:
        return False


@pytest.mark.parametrize("region", [*REGIONS, "GB", "AR", "MX", "AG", "IT", "SM", "UZ", "CR"])
def test_every_number_of_every_region_could_be_one(region: str) -> None:
    numbers = [prefix + number.lstrip("+") for number in EXAMPLES for prefix in PREFIXES[: 4 if region == "US" else 2]]
    valid = [number for number in numbers if is_number(number, region)]
    assert valid
    assert [number for number in valid if not could_be_number(number, region)] == []


groups = st.one_of(
    st.text("0123456789", min_size=3, max_size=17),
    st.text("0123456789-. ()/+", min_size=4, max_size=22),
    st.builds(str.__add__, st.sampled_from(PREFIXES), st.sampled_from(EXAMPLES).map(lambda number: number.lstrip("+"))),
)


@settings(max_examples=2_000, deadline=None)
@given(group=groups, region=st.sampled_from(REGIONS))
def test_what_phonenumbers_takes_for_a_number_could_be_one(group: str, region: str) -> None:
    assert could_be_number(group, region) or not is_number(group, region)


def test_most_other_digits_could_not_be_a_number() -> None:
    for text in ("4111 1111 1111 1111", "536-90-4399", "10.0.0.1", "2024-05-17", "12/31/1999"):
        assert not could_be_number(text, "US")


def presidios(text: str) -> set[tuple[int, int]]:
    recogniser: Any = PhoneRecognizer(supported_regions=REGIONS)
    return {(each.start, each.end) for each in recogniser.analyze(text, ["PHONE_NUMBER"])}


def ours(text: str) -> set[tuple[int, int]]:
    recogniser: Any = GuardedPhoneRecognizer()
    with scanning(Scan(Budget(60))):
        return {(each.start, each.end) for each in recogniser.analyze(text, ["PHONE_NUMBER"])}


pieces = st.one_of(
    groups,
    st.sampled_from(EXAMPLES),
    st.sampled_from((" ", ", ", "/", " x", " ext. 12", "#", ";ext=", "a", "\n", " - ", "(", ")", "\u0663", ":59", "$")),
)


@settings(max_examples=1_500, deadline=None)
@given(text=st.lists(pieces, max_size=7).map("".join))
@example("+49 30 123456/415-867-5309/212-456-7890 (415) 867-5309")
@example("4158675309 2124567890 3104567890")
def test_all_regions_find_what_presidio_finds(text: str) -> None:
    assert ours(text) == presidios(text)


def test_a_lenient_search_finds_what_phonenumbers_finds() -> None:
    for leniency in range(4):
        for number in EXAMPLES[::40]:
            text = f"ring {number}, or 123-4567"
            with scanning(Scan(Budget(60))):
                found = set(find_phone_numbers(text, REGIONS, leniency))
            expected = {
                (match.start, match.end)
                for region in REGIONS
                for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=leniency)
            }
            assert outermost(found) == outermost(expected)


def outermost(spans: set[tuple[int, int]]) -> set[tuple[int, int]]:
    return {
        (start, end)
        for start, end in spans
        if not any(first <= start and end <= last and (first, last) != (start, end) for first, last in spans)
    }
