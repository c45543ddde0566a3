"""Make ``hoopguard/guardrail/look_alikes.py`` from Unicode's ``confusables.txt`` (UTS #39), given as the argument.

The file is at https://www.unicode.org/Public/security/latest/confusables.txt. From it come the single characters whose
skeleton is one ASCII letter or digit; to them are added a script's own decimal digits, letters whose capital is such a
look-alike, and small capitals and letters in boxes. What NFKC makes an ASCII letter is left to it; what it makes
another one (a lunate sigma) lends that its likeness.
"""

import re
import sys
import unicodedata
from pathlib import Path
from typing import Final

PLACE: Final = Path(__file__).parent.parent / "hoopguard/guardrail/look_alikes.py"
BOXED: Final = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|(?:NEGATIVE|CROSSED NEGATIVE) (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])"
)
ENTRY: Final = re.compile(r"^([0-9A-F]+) ;\t([0-9A-F]+) ;\tMA", re.MULTILINE)
HEAD: Final = '''"""Characters that look like an ASCII letter or digit, by what they look like.

Made by ``scripts/make_look_alikes.py`` from Unicode's confusables.txt, version {version} (UTS #39), © Unicode, Inc.,
https://www.unicode.org/terms_of_use.html. Not to be edited by hand.
"""

from typing import Final

LOOK_ALIKES: Final = {{
{lines}
}}
"""What looks alike, and all that looks like it: letters of other scripts, other scripts' digits, boxed letters."""
'''


def main(source: Path) -> None:
    """Write the module."""
    text = source.read_text(encoding="utf-8-sig")
    found = {chr(int(one, 16)): chr(int(other, 16)) for one, other in ENTRY.findall(text)}
    known = {char: meant(char, like) for char, like in found.items() if stands(char) and like.isascii()}
    known = {char: like for char, like in known.items() if like.isalnum()}
    for char, like in found.items():
        normal = unicodedata.normalize("NFKC", char)
        if like.isascii() and like.isalnum() and len(normal) == 1 and stands(normal):
            known.setdefault(normal, meant(char, like))
    for char in filter(stands, map(chr, range(0x80, 0x110000))):
        if char not in known and (like := meant_otherwise(char, known)):
            known[char] = like
    version = re.search(r"^# Version: (\S+)", text, re.MULTILINE)
    lines = [f'    "{like}": (\n{wrapped(known, like)}\n    ),' for like in sorted(set(known.values()))]
    PLACE.write_text(HEAD.format(version=version[1] if version else "unknown", lines="\n".join(lines)))


def stands(char: str) -> bool:
    """Tell whether a character is not ASCII, no mark on another, and what normalising leaves as it is."""
    decomposed = unicodedata.normalize("NFKD", char)
    return not char.isascii() and decomposed == char and unicodedata.category(char)[0] != "M"


def meant(char: str, like: str) -> str:
    """Return which of several letters is meant: UTS #39 makes no difference between ``l``, ``I`` and ``1``."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if like == "l" and unicodedata.category(char) == "Lu":
        return "I"
    return like.lower() if like == "O" and unicodedata.category(char) == "Ll" else like


def meant_otherwise(char: str, known: dict[str, str]) -> str:
    """Return what a character means that the file does not have; nothing if it looks like no letter or digit."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if boxed := BOXED.fullmatch(unicodedata.name(char, "")):
        return boxed[1].lower()
    return known.get(char.upper(), "").lower()


def wrapped(known: dict[str, str], like: str) -> str:
    """Return a letter's look-alikes as lines of escapes."""
    chars = sorted(char for char in known if known[char] == like)
    escapes = [f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}" for char in chars]
    lines = ["".join(escapes[at : at + 10]) for at in range(0, len(escapes), 10)]
    return "\n".join(f'        "{line}"' for line in lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
