"""An NLP engine without weights: words are runs of word characters, and each is its own lemma.

Presidio needs tokens for its context words only ("phone" before a number lifts the score). Every character
belongs to exactly one token, so that a finding always has one; whatever is not a word counts as punctuation.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import regex
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

from hoopguard.policy.nlp import ENGLISH

WORD: Final = regex.compile(r"\w+")
_TOKEN: Final = regex.compile(r"\w+|\W", regex.DOTALL)


class WordNlpEngine(NlpEngine):
    """Tokens for Presidio's context words, from a regular expression."""

    def __init__(self, languages: Sequence[str] = ENGLISH) -> None:
        """Take the languages that an analyzer engine is to ask for."""
        self._languages = tuple(languages)

    def load(self) -> None:
        """Load nothing: there are no weights."""

    def is_loaded(self) -> bool:
        """Return True."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Return the text's tokens as Presidio wants them; the entities are left to the recognisers."""
        found = list(_TOKEN.finditer(text))
        tokens: Any = [match.group() for match in found]
        return NlpArtifacts(
            entities=[],
            tokens=tokens,
            tokens_indices=[match.start() for match in found],
            lemmas=[_lemma(token) for token in tokens],
            nlp_engine=self,
            language=language,
        )

    def process_batch(
        self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **kwargs: Any
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """Yield each text with its tokens."""
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:
        """Return False: every word counts, so that context never reaches back over more than five words."""
        return False

    def is_punct(self, word: str, language: str) -> bool:
        """Tell whether a token is no word."""
        return WORD.match(word) is None

    def get_supported_entities(self) -> list[str]:
        """Return nothing: this engine finds no entities itself."""
        return []

    def get_supported_languages(self) -> list[str]:
        """Return the languages that it was made for; words are made out the same way in all of them."""
        return list(self._languages)


def _lemma(word: str) -> str:
    # Presidio drops the lemma "be", but keeps "Be"; one of them anywhere in a text would change what counts as a
    # word everywhere else in it, which no stream could know.
    return "BE" if word == "be" else word
