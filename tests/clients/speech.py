"""What the fake models say and the clients ask: personal data in every place, and what has to be left of it."""

import json
import re
from typing import Any, Final

from hoopguard.demo.answers import CUSTOMER_CARD, CUSTOMER_PHONE, tokens

_HIDDEN: Final = (
    (re.compile(r"[a-z]+\.person(?:@|\\u0040)example\.com"), "<EMAIL_ADDRESS>"),
    (re.compile(re.escape(CUSTOMER_PHONE)), "<PHONE_NUMBER>"),
    (re.compile(re.escape(CUSTOMER_CARD)), "<CREDIT_CARD>"),
)


def said(place: str) -> str:
    """Return a text for one place of a body: an e-mail address that names the place, a phone number and a card."""
    return f"In {place}: write to {place}.person@example.com, call {CUSTOMER_PHONE} or charge {CUSTOMER_CARD}. Done."


def answered(asked: Any) -> str:
    """Return what a model answers: personal data, and if the question is tempting, what the policy forbids."""
    forbidden = " Take a forbidden fruit, and one more." if "tempt me" in json.dumps(asked) else ""
    return said("content") + forbidden


def address(place: str) -> str:
    """Return the e-mail address in ``said(place)``."""
    return f"{place}.person@example.com"


def pieces(text: str) -> list[str]:
    """Cut a text as a model does: no address, number or word stays whole."""
    return tokens(text)


def masked(value: Any) -> Any:
    """Return a JSON value as the other side of the gateway has to see it."""
    if isinstance(value, str):
        for pattern, placeholder in _HIDDEN:
            value = pattern.sub(placeholder, value)
        return value
    if isinstance(value, dict):
        return {key: masked(child) for key, child in value.items()}
    return [masked(child) for child in value] if isinstance(value, list) else value


def is_clean(text: str) -> bool:
    """Tell whether nothing of what has to be hidden is left in a text."""
    return not any(pattern.search(text) for pattern, _ in _HIDDEN) and ".person" not in text
