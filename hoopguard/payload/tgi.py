"""Text Generation Inference: generate, and generate_stream, whose last token's event says the whole text again."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.framing import Event
from hoopguard.payload.object_stream import ObjectStream
from hoopguard.payload.shapes import EVERYTHING, Body, Group, event_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import COUNT, LABEL, REPEAT, SMALL, TEXT, TIME, Fields, Strings, Table, under, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    anyOf array best_of boolean const decoder_input_details default description details do_sample enum error
    error_type grammar hoopguard integer items maximum minimum null number object parameters properties required
    return_full_text special stop stream string title token value watermark
"""
VOCABULARY: Final = frozenset(_WORDS.split())
_COUNTS: Final = """
    best_of max_new_tokens top_k top_n_tokens truncate frequency_penalty repetition_penalty temperature top_p typical_p
"""
REQUEST: Final = Fields(
    {
        "inputs": Strings("tokens"),
        **under("parameters", dict.fromkeys(_COUNTS.split(), COUNT)),
        "parameters.adapter_id": LABEL,
        "parameters.grammar.type": word("json", "json_schema", "regex"),
        "parameters.grammar.value": TEXT,
        "parameters.seed": TIME,
        "parameters.stop.*": TEXT,
    },
    VOCABULARY,
)
_DETAILS: Final[Table] = {
    "finish_reason": word("eos_token", "length", "stop_sequence"),
    "generated_tokens": COUNT,
    "input_length": COUNT,
    "seed": TIME,
    "prefill": REPEAT,
    "tokens": REPEAT,
    "top_tokens": REPEAT,
}
_ANSWER: Final[Table] = {
    "generated_text": TEXT,
    **under("details", _DETAILS),
    **under("details.best_of_sequences.*", _DETAILS),
    "details.best_of_sequences.*.generated_text": TEXT,
    "error": TEXT,
    "error_type": LABEL,
}
ANSWER: Final = Fields({**_ANSWER, **under("*", _ANSWER)}, VOCABULARY)
EVENT: Final = Fields(
    {
        **_ANSWER,
        "index": COUNT,
        "token.id": REPEAT,
        "token.logprob": SMALL,
        "token.text": TEXT,
        "top_tokens": REPEAT,
    },
    VOCABULARY,
)


class TokenStream(ObjectStream):
    """A token an event; the last one has the ``details``, and the whole text, which stands alone."""

    api = "tgi"
    event_names: frozenset[str] = frozenset()

    def ended(self, body: Body) -> Collection[Group]:
        """Return everything with the event that says the whole text."""
        return EVERYTHING if body.get("generated_text") is not None or body.get("details") is not None else ()

    def frame(self, last: Body) -> Body:
        """Return a token without text, at the place of ``last``."""
        token = {"id": None, "text": "", "logprob": 0.0, "special": False}
        return {"index": last.get("index", 0), "token": token, "generated_text": None, "details": None}

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return a last token, with details that say so."""
        details = {"finish_reason": "stop_sequence", "generated_tokens": 0, "seed": None}
        return [event_of({**self.frame(last), "generated_text": "", "details": details, "hoopguard": dict(final)})]


STREAM: Final = TokenStream(EVENT, alone=("details", "error", "error_type", "generated_text"))

_IMAGE: Final = re.compile(r"!\[[^\]]*\]\(")


def check_request(body: Any) -> None:
    """Refuse images, which TGI takes out of the prompt as Markdown, fetching those that are addresses.

    Raises:
        BodyError: the prompt has one.
    """
    inputs = body.get("inputs")
    if isinstance(inputs, str) and _IMAGE.search(inputs):
        raise BodyError("the inputs hold an image as Markdown, which nobody here can look into")


GENERATE: Final = Format(
    name="generate",
    method="POST",
    path="/generate",
    api="tgi",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    check=check_request,
)
GENERATE_STREAM: Final = Format(
    name="generate_stream",
    method="POST",
    path="/generate_stream",
    api="tgi",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    check=check_request,
    defaults={"stream": True},
)
