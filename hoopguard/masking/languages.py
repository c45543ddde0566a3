"""Which of Presidio's recognisers a language has, and which words of context it adds to those of every language.

Presidio has one recogniser for each language, and a text is analysed in one. Here one recogniser finds an entity once,
and the words of all the policy's languages count: the same as analysing the text in each of them and keeping, of the
findings at one place, the surest. English always counts.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import presidio_analyzer.predefined_recognizers as predefined
from presidio_analyzer import PatternRecognizer
from presidio_analyzer.recognizer_registry.recognizers_loader_utils import RecognizerConfigurationLoader

_SAME: Final = {"kr": "ko"}
"""Some of Presidio's Korean recognisers have the country's code for their language."""


@cache
def recognisers_by_entity() -> dict[str, tuple[str, Any]]:
    """Return every entity that Presidio recognises by patterns, with the language and the class that does."""
    found: dict[str, tuple[str, Any]] = {}
    for candidate in vars(predefined).values():
        if inspect.isclass(candidate) and issubclass(candidate, PatternRecognizer):
            parameters = inspect.signature(candidate).parameters
            if "supported_entity" in parameters:
                language = parameters["supported_language"].default
                found[parameters["supported_entity"].default] = (_SAME.get(language, language), candidate)
    return found


def with_context_of(recogniser: Any, languages: Iterable[str]) -> Any:
    """Return the recogniser, with the words of context that Presidio's own configuration has for some languages."""
    classes = {cls.__name__ for cls in type(recogniser).__mro__}
    further = [
        word
        for (name, language), words in _configured_context().items()
        if name in classes and language in languages
        for word in words
    ]
    if further:
        recogniser.context = list(dict.fromkeys([*(recogniser.context or ()), *further]))
    return recogniser


@cache
def _configured_context() -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the words of context that Presidio's configuration has, by the recogniser's class and the language."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    entry: Any
    for entry in RecognizerConfigurationLoader.get()["recognizers"]:
        for said in entry.get("supported_languages") or ():
            if isinstance(said, dict) and said.get("context"):
                language = str(said["language"])
                found[entry["name"], _SAME.get(language, language)] = tuple(said["context"])
    return found
