"""Which digits could be a phone number at all: asked before phonenumbers parses, which takes a hundred times longer.

For a number without a plus and without an international prefix, phonenumbers takes off the country's calling code and
national prefix, if they are there, and compares what is left with the patterns of each type of number that any region
with this calling code has. So the digits are a calling code, national prefixes and a pattern's match, or no number.
"""

import re
from functools import cache
from typing import Any, Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

_TYPES: Final = (
    "fixed_line",
    "mobile",
    "pager",
    "personal_number",
    "premium_rate",
    "shared_cost",
    "toll_free",
    "uan",
    "voicemail",
    "voip",
)
_PLAIN: Final = re.compile(r"[0-9 ()./\[\]-]*")
_NOT_DIGITS: Final = re.compile(r"[^0-9]+")
_KEEPS_A_GROUP: Final = re.compile(r"\\[0-9]")


def could_be_number(candidate: str, region: str) -> bool:
    """Tell whether phonenumbers could find a valid number in what it takes for one, for callers in a region."""
    if not _PLAIN.fullmatch(candidate):
        return True
    return _could_be(region).match(_NOT_DIGITS.sub("", candidate)) is not None


@cache
def _could_be(region: str) -> "re.Pattern[str]":
    """Return a pattern of the digits that phonenumbers could take for a valid number."""
    metadata: Any = PhoneMetadata.metadata_for_region(region)
    if metadata is None:  # phonenumbers does not know the region, and parses only what has a plus
        return re.compile(r"(?!)")
    regions = COUNTRY_CODE_TO_REGION_CODE[metadata.country_code]  # the main one first, whose rules count too
    known: list[Any] = [PhoneMetadata.metadata_for_region(each) for each in regions]
    if any(_puts_digits(each) for each in (metadata, known[0])):
        return re.compile("")
    prefixes = [_national_prefix(each) for each in (metadata, known[0])]
    types = [getattr(each, name) for each in known for name in _TYPES]
    patterns = sorted({each.national_number_pattern for each in types if each and each.national_number_pattern})
    national = f"(?:{metadata.country_code})?(?:{'|'.join(prefixes)}){{0,2}}(?:{'|'.join(patterns)})\\Z"
    return re.compile(f"{metadata.international_prefix}|{national}")


def _puts_digits(metadata: Any) -> bool:
    """Tell whether a region's rule puts digits of its own in place of a national prefix."""
    rule = metadata.national_prefix_transform_rule
    return bool(rule) and not _KEEPS_A_GROUP.fullmatch(rule)


def _national_prefix(metadata: Any) -> str:
    """Return a pattern of what can be taken off a number within a country."""
    if metadata.national_prefix_transform_rule:  # a part of what it matches stays
        return "[0-9]*"
    return metadata.national_prefix_for_parsing or "(?!)"
