"""Finding the words and phrases of a long list, such as the staff directory: looked up, not tried one by one.

Words are compared without case. The words of a phrase may stand apart by up to four characters that are no word's,
so that "Smith, Ann" is found over a line's end too. Where several phrases begin, the longest is taken.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import regex
from presidio_analyzer import EntityRecognizer, RecognizerResult

from hoopguard.masking.scan import current_scan

_WORD: Final = regex.compile(r"(?<!\w)\w+")
_BACKWARDS: Final = regex.compile(r"\w+", regex.REVERSE)
_MOST_BETWEEN: Final = 4
_LOOKS_AT_ONCE: Final = 256

_Word = tuple[str, int, int]
"""A word as it is compared, and its span."""


class WordListRecognizer(EntityRecognizer):
    """Presidio's interface around a sorted list of phrases."""

    def __init__(self, entity: str, name: str, phrases: Iterable[str], score: float, context: Sequence[str]) -> None:
        """Take the list; a phrase's punctuation does not count."""
        self._phrases = sorted({" ".join(_compared(phrase)) for phrase in phrases})
        self._most_words = max(phrase.count(" ") + 1 for phrase in self._phrases)
        self._score = score
        self._label = name
        super().__init__([entity], name=name, context=list(context))

    def load(self) -> None:
        """Load nothing more."""

    def analyze(self, text: str, entities: Sequence[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return the phrases from the current pass's start on.

        Raises:
            DetectionGaveUp: the time ran out.
        """
        scan = current_scan()
        passed = scan.passed(self)
        results = []
        words = _words(text, scan.start_of(self))
        at = 0
        while at < len(words):
            if at % _LOOKS_AT_ONCE == 0:
                scan.left_s()
            taken = self._phrase_at(words, at)
            if taken:
                start, end = words[at][1], words[at + taken - 1][2]
                passed.append((start, end))
                results.append(self._result(start, end))
            at += taken or 1
        return results

    def pending_from(self, text: str, start: int) -> int:
        """Return the first offset from ``start`` on at which more text could make a difference."""
        earliest = len(text)
        key, after = "", len(text)
        for word, begin, end in self._last_words(text):
            if begin < start or after - end > _MOST_BETWEEN:
                break
            key = f"{word} {key}" if end < len(text) else word
            if self._begins(key):
                earliest = begin
            after = begin
        return earliest

    def _last_words(self, text: str) -> Iterator[_Word]:
        """Yield a text's words from the last on, no more than a phrase can have."""
        for match in islice(_BACKWARDS.finditer(text), self._most_words):
            yield match.group().casefold(), match.start(), match.end()

    def _phrase_at(self, words: list[_Word], at: int) -> int:
        """Return how many words the longest phrase has that begins with a word; none if there is none."""
        key, longest = "", 0
        for count, (word, begin, _) in enumerate(words[at : at + self._most_words], 1):
            if count > 1 and begin - words[at + count - 2][2] > _MOST_BETWEEN:
                break
            key = f"{key} {word}" if key else word
            place = bisect_left(self._phrases, key)
            if place == len(self._phrases) or not self._phrases[place].startswith(key):
                break
            if self._phrases[place] == key:
                longest = count
        return longest

    def _begins(self, key: str) -> bool:
        place = bisect_left(self._phrases, key)
        return place < len(self._phrases) and self._phrases[place].startswith(key)

    def _result(self, start: int, end: int) -> RecognizerResult:
        named = {RecognizerResult.RECOGNIZER_NAME_KEY: self._label, RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id}
        return RecognizerResult(self.supported_entities[0], start, end, self._score, recognition_metadata=named)


def _words(text: str, start: int) -> list[_Word]:
    return [(match.group().casefold(), match.start(), match.end()) for match in _WORD.finditer(text, start)]


def _compared(phrase: str) -> list[str]:
    return [word for word, _, _ in _words(phrase, 0)]
