"""Recognisers for what Presidio's own miss: internal hosts in e-mail addresses, short IPv6 addresses, cards, PESEL."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Any, Final

import regex
from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, PlPeselRecognizer

FLAGS: Final = regex.DOTALL | regex.MULTILINE

_INTERNAL: Final = (
    "corp|example|home|home\\.arpa|internal|intranet|invalid|lan|local|localdomain|localhost|onion|private|test"
)
"""Names that end in no public suffix: those that RFC 2606, 6762, 8375 and ICANN set aside, and old habits."""


class InternalEmailRecognizer(PatternRecognizer):
    """Finds addresses at hosts that only the own network knows: ``ann@corp.internal``, ``joe@localhost``."""

    need = "@"

    def __init__(self) -> None:
        """Take the pattern; no validator, for there is no list of internal names."""
        source = (
            r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){0,6}"
            rf"(?i:{_INTERNAL})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
        )
        patterns = [Pattern("internal address", source, 0.6)]
        super().__init__("EMAIL_ADDRESS", patterns=patterns, global_regex_flags=FLAGS)


class FurtherCardRecognizer(CreditCardRecognizer):
    """Finds Mastercard's 2-series, numbers of 19 digits, and those right after four other digits.

    By Presidio's own check (Luhn) and context words. Its own pattern takes a year before a number for the number's
    beginning: of ``1999 4111 1111 1111 1111`` it looks at the first sixteen digits and goes on behind them.
    """

    need = r"\d"

    def __init__(self) -> None:
        """Take the patterns (ISO/IEC 7812-1; issuer ranges 2221-2720, and 19 digits of Visa, Maestro, UnionPay)."""
        four = "(?:[- ]?[0-9]{4})"
        series = f"2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{{2}}|7[01][0-9]|720){four}{{3}}"
        long = f"(?:4[0-9]{{3}}|5[0678][0-9]{{2}}|6[0-9]{{3}}){four}{{3}}[- ]?[0-9]{{3}}"
        either = rf"(?:[456][0-9]{{3}}{four}{{3}}|3[47][0-9]{{2}}[- ]?[0-9]{{6}}[- ]?[0-9]{{5}})"
        after = rf"(?<=(?<![0-9])[0-9]{{4}}[- ]){either}"
        sources = {"2-series": series, "19 digits": long, "after four digits": after}
        patterns = [Pattern(name, rf"(?<![0-9])(?:{source})(?![0-9])", 0.3) for name, source in sources.items()]
        super().__init__(patterns=patterns)
        self.global_regex_flags = FLAGS


class ShortIpRecognizer(PatternRecognizer):
    """Finds the whole of an IPv6 address that is written with ``::``; Presidio's own often stops right there."""

    need = "::"

    def __init__(self) -> None:
        """Take the pattern (RFC 4291 §2.2)."""
        group = "[0-9A-Fa-f]{1,4}"
        four = rf"(?:{group}:){{0,5}}[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}"
        source = (
            rf"(?<![0-9A-Za-z:.])(?:{group}(?::{group}){{0,6}})?::"
            rf"(?:{four}|{group}(?::{group}){{0,6}})?(?:%[0-9A-Za-z]{{1,16}})?(?![0-9A-Za-z])"
        )
        patterns = [Pattern("shortened IPv6", source, 0.6)]
        super().__init__("IP_ADDRESS", patterns=patterns, global_regex_flags=FLAGS)

    def validate_result(self, pattern_text: str) -> bool | None:
        """Drop what is no address, or has no digit and so is rather a program's ``a::b``."""
        try:
            IPv6Address(pattern_text)
        except ValueError:
            return False
        return None if any(map(str.isdigit, pattern_text)) else False


class SecurityCodeRecognizer(PatternRecognizer):
    """Finds a card's security code where it is called so."""

    need = r"\d"

    def __init__(self) -> None:
        """Take the pattern."""
        names = r"\b(?:cvv2?|cvc2?|cvn|card security code|card verification (?:code|value))\b"
        source = rf"(?i:(?<={names}[\s\"':=#]{{1,4}}))[0-9]{{3,4}}(?![0-9])"
        patterns = [Pattern("security code", source, 0.6)]
        super().__init__("CARD_SECURITY_CODE", patterns=patterns, global_regex_flags=FLAGS)


class PeselRecognizer(PlPeselRecognizer):
    """Finds Polish PESEL numbers by their checksum; Presidio's own compares its complement, so misses most of them."""

    need = r"\d"

    def validate_result(self, pattern_text: str) -> bool:
        """Tell whether the weighted sum of all digits, the last one's weight being 1, ends in 0."""
        weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
        return sum(weight * int(digit) for weight, digit in zip(weights, pattern_text, strict=True)) % 10 == 0


EXTENSIONS: Final[Mapping[str, tuple[Callable[[], Any], ...]]] = MappingProxyType(
    {
        "CREDIT_CARD": (FurtherCardRecognizer,),
        "EMAIL_ADDRESS": (InternalEmailRecognizer,),
        "IP_ADDRESS": (ShortIpRecognizer,),
        "PL_PESEL": (PeselRecognizer,),
    }
)
"""What looks for some of Presidio's entities beside Presidio's own recognisers."""
