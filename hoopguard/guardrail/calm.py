"""Most of what a model says: plain words in which nothing begins that is sought, and which no encoding is made of."""

import re
from typing import Final

from hoopguard.guardrail.decoding import BASE64

_RUN: Final = "A-Za-z+/_#;-"
"""What words are of that :func:`hoopguard.guardrail.decoding.open_from` waits for the end of; no digits or escapes."""

_MOST_CHARS: Final = 19
_RUN_AT_END: Final = f"[{_RUN}]{{0,{_MOST_CHARS}}}"
_WORD: Final = f"(?:[{_RUN}]{{1,7}}+(?![{_RUN}])|(?![A-Za-z+/_-]*(?:{BASE64}))[{_RUN}]{{8,{_MOST_CHARS}}}+)"
_BETWEEN: Final = r"[\t\n\r !\"$'()*,.:?@\[\]^`{|}~]"
"""What ends an encoding, and what no mark makes another character of."""

_LAST_WORD: Final = re.compile(rf"(?:.*{_BETWEEN})?+(?={_RUN_AT_END}\Z)", re.DOTALL)
_CALM: Final = re.compile(rf"(?:(?:{_WORD})?{_BETWEEN})*+(?={_RUN_AT_END}\Z)")


def calm_up_to(text: str, quiet: re.Pattern[str]) -> int | None:
    """Return where a text's last word begins, if nothing before it can be part of what is sought; else None.

    ``quiet`` says so of the text as it stands, and the text begins where a word can.
    """
    found = _CALM.match(text)
    if found is None or not quiet.fullmatch(text, 0, found.end()):
        return None
    return found.end()


def last_word(text: str) -> int | None:
    """Return where a text's last word begins, if it may still be calm."""
    found = _LAST_WORD.match(text)
    return None if found is None else found.end()
