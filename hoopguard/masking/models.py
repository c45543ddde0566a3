"""Language models that the operator has on disk: what they find, sentence by sentence.

A model sees one sentence at a time, in whole texts as in streams; so both find the same, and a stream is held to its
sentence's end and no longer. Nothing is ever downloaded: the policy names a folder, and the libraries are told to
stay offline.

Streams are looked at on the event loop, where everybody waits meanwhile. So what models take there of an exchange is
bounded by the policy's ``stream_hold``: half of it is there for one sentence, which is tried when the policy is read,
and once the other half is taken, further sentences wait until time has redeemed it.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final

import regex
from presidio_analyzer import EntityRecognizer, RecognizerResult

from hoopguard.masking.engines import Find, Found, load_model
from hoopguard.masking.scan import Scan, current_scan
from hoopguard.policy.nlp import ModelRecogniser, Nlp

SENTENCE_FLAGS: Final = regex.DOTALL
_REMEMBERED: Final = 512
_TRIES: Final = 5


def sentence(most_chars: int) -> str:
    """Return a pattern of a sentence, or as much of one as a model is given at once: whole words if there are any."""
    begun = rf"[^\s.!?。！？](?:[^.!?\n。！？]|[.!?](?!\s)){{0,{most_chars}}}"
    return rf"{begun}(?:[.!?。！？]{{1,8}}|\n|(?=\s)|\Z)|{begun}"


class SentenceModel:
    """A model, and what it found in the sentences that it saw last; for one thread at a time."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._seen: OrderedDict[str, list[Found]] = OrderedDict()
        self._lock = Lock()

    def recall(self, sentence: str) -> list[Found] | None:
        """Return what the model found in a sentence, or None if it is not remembered."""
        with self._lock:
            if sentence in self._seen:
                self._seen.move_to_end(sentence)
            return self._seen.get(sentence)

    def look(self, sentence: str) -> list[Found]:
        """Return what the model finds in a sentence, and remember it."""
        with self._lock:
            found = self._seen[sentence] = self._find(sentence)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return found

    def seconds(self, chars: int) -> float:
        """Return the least of what some sentences of a length take."""
        words = ("The quick Fox of Paris, 7 years old, met Ann Lee at noon " * (chars // 50 + 1))[:chars]
        taken = []
        with self._lock:
            for _ in range(_TRIES):
                began = time.perf_counter()
                self._find(words)
                taken.append(time.perf_counter() - began)
        return min(taken)


class ModelEntityRecognizer(EntityRecognizer):
    """Presidio's interface around a model, for one of the entities that it finds."""

    def __init__(self, said: ModelRecogniser) -> None:
        """Load the model, unless another entity's recogniser has.

        Raises:
            ValueError: the model, or the library that reads it, is not there.
        """
        self._nlp = said.nlp
        self._model = model_for(said.nlp)
        self._sentence = regex.compile(sentence(said.nlp.sentence_chars), SENTENCE_FLAGS)
        super().__init__([said.entity], name=said.name, supported_language=said.nlp.language)

    def load(self) -> None:
        """Load nothing more."""

    def pending_from(self, text: str, start: int) -> int:
        """Return where the sentence begins that a text ends in.

        Counted from the middle of a sentence that is too long, it may seem to begin later; :meth:`analyze` stops where
        it does begin.
        """
        return next(
            (match.start() for match in self._sentence.finditer(text, start) if _may_grow(match, text)), len(text)
        )

    def check_hold(self) -> None:
        """Try whether the model is quick enough for streams.

        Raises:
            ValueError: one sentence would hold everybody up for longer than the policy allows.
        """
        most_s, chars = self._nlp.stream_hold_s / 2, self._nlp.sentence_chars
        taken_s = self._model.seconds(chars)
        if taken_s > most_s:
            raise ValueError(
                f"the {self._nlp.engine} model in {self._nlp.model} takes {taken_s * 1000:.0f} ms for a sentence of "
                f"{chars} characters, but streams can wait {most_s * 1000:.0f} ms, half of stream_hold; "
                'expected a smaller sentence_chars, a longer stream_hold, or on = "request" for what only a model finds'
            )

    def analyze(self, text: str, entities: Sequence[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return what the model finds in the sentences from the current pass's start on.

        Raises:
            DetectionGaveUp: the time ran out.
        """
        scan = current_scan()
        passed = scan.passed(self)
        results: list[RecognizerResult] = []
        for match in self._sentence.finditer(text, scan.start_of(self)):
            found = None if scan.may_wait and _may_grow(match, text) else self._look(match.group(), scan)
            if found is None:
                scan.stop(match.start())
                break
            passed.append(match.span())
            at = match.start()
            results += [
                RecognizerResult(entity, at + start, at + end, score)
                for entity, start, end, score in found
                if entity == self.supported_entities[0] and start < end
            ]
        return results

    def _look(self, sentence: str, scan: Scan) -> list[Found] | None:
        """Return what is in a sentence, or None if the model has taken too much of everybody's time for now."""
        left_s = scan.left_s()
        found = self._model.recall(sentence)
        if found is not None:
            return found
        taken = scan.budget.by_models
        if taken is None:
            return self._model.look(sentence)
        if taken.seconds >= self._nlp.stream_hold_s / 2:
            return None
        found = self._model.look(sentence)
        taken.add(left_s - scan.left_s())
        return found


def _may_grow(match: "regex.Match[str]", text: str) -> bool:
    """Tell whether a sentence may become a longer one when the text goes on."""
    return match.end() == len(text) and not text.endswith("\n")


@lru_cache(maxsize=8)
def model_for(nlp: Nlp) -> SentenceModel:
    """Return the model that a policy names, loaded.

    Raises:
        ValueError: the model, or the library that reads it, is not there.
    """
    return SentenceModel(load_model(nlp))
