"""Phone numbers in a text, by phonenumbers' own matcher, within a pass's time and never giving up silently."""

import re
from collections.abc import Sequence
from typing import Any, Final

import phonenumbers
from phonenumbers import phonenumbermatcher, phonenumberutil
from phonenumbers.phonenumberutil import NumberParseException

from hoopguard.masking.phone_digits import could_be_number
from hoopguard.masking.scan import DetectionGaveUp, Scan, current_scan

_upstream: Final[Any] = phonenumbermatcher  # its private names are what the matcher itself uses
_parsing: Final[Any] = phonenumberutil

MIN_DIGITS: Final = 4
"""No valid number of any country is shorter (a test asks phonenumbers' metadata)."""

_DIGIT: Final = r"[^\x00-/:-\x7f]"  # whatever phonenumbers takes for one
NEEDED: Final = rf"{_DIGIT}(?:{_upstream._PUNCTUATION}{_DIGIT}){{{MIN_DIGITS - 1}}}"
"""Every phone number has a match of this in it."""

_MAX_DIGITS: Final = 420
_FEW_DIGITS: Final = 20
_SIMPLE: Final = re.compile(r"[0-9 ()./+\[\]-]*")
_GAP: Final = _upstream._PUNCTUATION.removesuffix("{0,4}") + "{1,4}"
PENDING: Final = (
    rf"(?:{_upstream._LEAD_CLASS}{_upstream._PUNCTUATION}){_upstream._LEAD_LIMIT}"
    rf"\d{{1,{_MAX_DIGITS}}}+(?:{_GAP}+\d{{1,{_MAX_DIGITS}}}+){{0,20}}+"
    rf"(?:{_parsing._EXTN_PATTERNS_FOR_MATCHING})?(?::[0-5][0-9]|[\s\S])"
)
"""Reaches at least as far as every candidate that phonenumbers looks at, and the characters after it that count.

phonenumbers' own expression could split a run of digits in exponentially many ways, but being greedy with all its
ends optional it never goes back; possessive quantifiers say the same. Blocks of digits are taken whole here, which
only reaches further. After a candidate phonenumbers looks at one character, or at ":59" after a time.
"""


def find_phone_numbers(text: str, regions: Sequence[str], leniency: int) -> dict[tuple[int, int], str | None]:
    """Return the spans of phone numbers from the current pass's start on, with each number's region.

    Raises:
        DetectionGaveUp: phonenumbers gave up, or the time ran out.
    """
    scan = current_scan()
    candidates = _Candidates(text, scan)
    found: dict[tuple[int, int], str | None] = {}
    for region in regions:
        matcher = _Matcher(text, region, leniency, candidates, scan)
        for match in matcher:
            found.setdefault((match.start, match.end), region)
    return found


class _Candidates:
    """What could be a phone number, looked for once for all regions."""

    def __init__(self, text: str, scan: Scan) -> None:
        self._text = text
        self._scan = scan
        self._known: dict[int, re.Match[str] | None] = {}
        self._whole: set[tuple[int, int]] = set()

    def settle(self, match: "re.Match[str]", found: Any) -> None:
        """Note that a whole candidate is a number, so that the other regions need not look into it.

        They could only find the same or what lies within it, which is no finding of its own: from within a candidate
        whose digits are few enough for every limit, and that has no extension, no other one reaches beyond its end.
        """
        whole = (match.start(), match.end()) == (found.start, found.end)
        if whole and _SIMPLE.fullmatch(match.group()) and _digits(match.group()) <= _FEW_DIGITS:
            self._whole.add(match.span())

    def is_settled(self, match: "re.Match[str]") -> bool:
        """Tell whether some region has found the whole candidate to be a number."""
        return match.span() in self._whole

    def after(self, index: int) -> "re.Match[str] | None":
        """Return the first candidate at or after an offset."""
        self._scan.left_s()
        if index in self._known:
            return self._known[index]
        match: re.Match[str] | None = _upstream._PATTERN.search(self._text, index)
        self._known[index] = match
        return match


class _Matcher(phonenumbers.PhoneNumberMatcher):
    """phonenumbers' matcher with a deadline; where the original stops trying, this one raises."""

    def __init__(self, text: str, region: str, leniency: int, candidates: _Candidates, scan: Scan) -> None:
        super().__init__(text, region, leniency=leniency)
        self._region = region
        self._candidates = candidates
        self._search_index = scan.start_of(f"phone {region}")
        self._passed = scan.passed(f"phone {region}")

    def _find(self, index: int) -> Any:
        """Return the next phone number at or after an offset, as the original does."""
        match = self._candidates.after(index)
        while match is not None:
            if self._candidates.is_settled(match):
                index = match.end()
                self._passed.append(match.span())
                match = self._candidates.after(index)
                continue
            candidate = self._trim_after_first_match(_parsing._SECOND_NUMBER_START_PATTERN, match.group())
            found = self._look_at(candidate, match.start())
            if self._max_tries <= 0:
                raise DetectionGaveUp("too many numbers that could be phone numbers")
            index = match.start() + len(candidate) if found is None else found.end
            self._passed.append((match.start(), index))
            if found is not None:
                self._candidates.settle(match, found)
                return found
            match = self._candidates.after(index)
        return None

    def _look_at(self, candidate: str, start: int) -> Any:
        if _digits(candidate) < MIN_DIGITS:
            return None
        try:
            found = self._extract_match(candidate, start)
        except NumberParseException:
            return None
        self._max_tries -= found is None
        return found

    def _parse_and_verify(self, candidate: str, offset: int) -> Any:
        """Return the phone number that a part of a candidate is, as the original does, unless it cannot be one."""
        is_lenient = self.leniency < phonenumbers.Leniency.VALID
        if is_lenient or could_be_number(candidate, self._region):
            return super()._parse_and_verify(candidate, offset)
        return None


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))
