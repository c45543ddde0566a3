"""Checks by which a number or a token shows that it is one, as functions from text to yes or no."""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CRC_CHARS: Final = 6

# Verhoeff 1969: multiplication in the dihedral group D5, and the permutation that depends on the place.
_D5: Final = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_PLACES: Final = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)


def luhn(text: str) -> bool:
    """Tell whether the digits of a text pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = _digits(text)
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(digits) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def verhoeff(text: str) -> bool:
    """Tell whether the digits of a text pass the Verhoeff check, as Aadhaar numbers do."""
    check = 0
    digits = _digits(text)
    for place, digit in enumerate(reversed(digits)):
        check = int(_D5[check][int(_PLACES[place % 8][digit])])
    return len(digits) > 1 and check == 0


def mod97(text: str) -> bool:
    """Tell whether a text, its first four characters last, is 1 modulo 97 (ISO 7064, as in IBANs)."""
    characters = [char for char in text.upper() if char.isascii() and char.isalnum()]
    moved = characters[4:] + characters[:4]
    return len(characters) > 4 and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def mod11(text: str) -> bool:
    """Tell whether the digits of a text, weighted 1, 2, 3 … from the last, are 0 modulo 11 (X is 10, as in ISBN-10)."""
    body = [char for char in text.upper() if char in "0123456789X"]
    if len(body) < 2 or "X" in body[:-1]:
        return False
    values = [10 if char == "X" else int(char) for char in body]
    return sum(weight * value for weight, value in enumerate(reversed(values), 1)) % 11 == 0


def mod11_10(text: str) -> bool:
    """Tell whether the digits of a text pass ISO 7064 MOD 11,10, as German tax numbers do."""
    digits = _digits(text)
    product = 10
    for digit in digits[:-1]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return len(digits) > 1 and (product + digits[-1]) % 10 == 1


CHECKSUMS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {"luhn": luhn, "mod11": mod11, "mod11_10": mod11_10, "mod97": mod97, "verhoeff": verhoeff}
)
"""The checks that a policy can name."""


def crc_base62(token: str) -> bool:
    """Tell whether a token ends in the CRC-32 of what follows its prefix, in base 62, as GitHub's and npm's do."""
    body = token.rpartition("_")[2]
    number, expected = zlib.crc32(body[:-_CRC_CHARS].encode()), ""
    while number:
        number, digit = divmod(number, 62)
        expected = _BASE62[digit] + expected
    return expected.rjust(_CRC_CHARS, "0") == body[-_CRC_CHARS:]


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdecimal()]
