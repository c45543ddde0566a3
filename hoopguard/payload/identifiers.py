"""What looks like an identifier, and what of somebody's may stand in one."""

import re
from collections.abc import Iterator
from typing import Final

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,255}", re.ASCII)
_HAS_LETTER: Final = re.compile(r"[A-Za-z]", re.ASCII)
_FEW_DIGITS: Final = 6
_SSN_DIGITS: Final = 9
_NUMBER: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}([-_.:])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
    r"|3[47][0-9]{2}([-_.:])[0-9]{6}\2[0-9]{5}|[0-9]{3}-[0-9]{2}-[0-9]{4})(?![A-Za-z0-9])",
    re.ASCII,
)


def is_label(value: str) -> bool:
    """Tell whether a string looks like an identifier and not like a number that may be somebody's."""
    if not _IDENTIFIER.fullmatch(value):
        return False
    return _HAS_LETTER.search(value) is not None or sum(map(str.isdigit, value)) <= _FEW_DIGITS


def telling_parts(identifier: str) -> Iterator[str]:
    """Yield what in an identifier is written as a card's number (ISO/IEC 7812-1, Luhn) or a social security number.

    It has to stand for itself, so that hexadecimal ids and times in milliseconds are none.
    """
    for match in _NUMBER.finditer(identifier):
        digits = [int(digit) for digit in reversed(match.group()) if digit.isdigit()]
        doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        if len(digits) == _SSN_DIGITS or (sum(digits[::2]) + sum(doubled)) % 10 == 0:
            yield match.group()
