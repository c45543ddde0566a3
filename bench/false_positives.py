"""How often each entity is found where there should be none: in program source and in logs.

    python -m bench.false_positives [--show 3] [PATH …]

Without a path it reads the standard library of the Python that runs it, tests left out. What it prints are findings,
not errors: an address in a licence is one. Look at the examples before you judge.
"""

import argparse
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hoopguard.masking.detector import Budget, Detector
from hoopguard.policy.packs import PACKS

_SUFFIXES: Final = frozenset({".py", ".txt", ".md", ".rst", ".log", ".toml", ".json", ".cfg", ".c", ".h", ".js", ".sh"})
_NO_SOURCE: Final = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})
_CHARS_AT_ONCE: Final = 20_000
_THRESHOLD: Final = 0.4  # the policy's default
_DROWNING: Final = ("URL", "US_DRIVER_LICENSE")  # in no pack; counted to show why


def pieces(paths: list[Path]) -> Iterator[str]:
    """Yield all readable text below some paths, cut at ends of lines."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix in _SUFFIXES and not _NO_SOURCE.intersection(file.parts[:-1]):
                yield from _cut(file.read_text(encoding="utf-8", errors="replace"))


def _cut(text: str) -> Iterator[str]:
    while len(text) > _CHARS_AT_ONCE:
        at = text.rfind("\n", 0, _CHARS_AT_ONCE) + 1 or _CHARS_AT_ONCE
        yield text[:at]
        text = text[at:]
    yield text


def main() -> None:
    """Print, for each entity, how many findings there are and how many different ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path(sysconfig.get_path("stdlib"))])
    parser.add_argument("--show", type=int, default=0, help="examples to print of each entity")
    arguments = parser.parse_args()
    entities = frozenset(_DROWNING).union(*PACKS.values())
    detector = Detector(entities, ())
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    chars = 0
    for text in pieces(arguments.paths):
        chars += len(text)
        for finding in detector.detect(text, budget=Budget(60)):
            if finding.score >= _THRESHOLD:
                found[finding.entity][text[finding.start : finding.end]] += 1
    print(f"{chars / 1e6:.1f} million characters\n{'entity':<20}{'found':>8}{'different':>11}")
    for entity in sorted(entities, key=lambda entity: (-found[entity].total(), entity)):
        examples = "  ".join(repr(text[:60]) for text, _ in found[entity].most_common(arguments.show))
        print(f"{entity:<20}{found[entity].total():>8}{len(found[entity]):>11}  {examples}")


if __name__ == "__main__":
    main()
