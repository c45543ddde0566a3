"""OpenAI's audio transcription and translation, as vLLM and others speak them: a form with a file in, text out."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload import openai_chat
from hoopguard.payload.framing import Event
from hoopguard.payload.multipart import MultipartBody
from hoopguard.payload.object_stream import ObjectStream
from hoopguard.payload.shapes import EVERYTHING, Body, Group, event_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import COUNT, LABEL, MADE, REPEAT, TEXT, TIME, Fields, Opaque, Table, under, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    chunking_strategy delta duration false hoopguard include[] input_token_details known_speaker_names[]
    known_speaker_references[] logprobs prompt segments sentence temperature text timestamp_granularities[]
    to_language true usage words
"""
_VOCABULARY: Final = openai_chat.VOCABULARY | frozenset(_WORDS.split())
_FORMATS: Final = word("json", "verbose_json", "diarized_json")

REQUEST: Final = Fields(
    {
        "file.data": Opaque("audio"),
        "file.filename": TEXT,
        "file.type": LABEL,
        "known_speaker_references[]": Opaque("audio"),
        "known_speaker_names[].*": TEXT,
        "include[].*": word("logprobs"),
        "language": LABEL,
        "model": MADE,
        "prompt": TEXT,
        "response_format": _FORMATS,
        "stream": word("true", "false", "True", "False"),
        "timestamp_granularities[].*": word("word", "segment"),
        "to_language": LABEL,
    },
    _VOCABULARY,
)
_USAGE: Final = "input_tokens output_tokens total_tokens seconds input_token_details.audio_tokens"
_ANSWER: Final[Table] = {
    "task": word("transcribe", "translate"),
    "language": LABEL,
    "duration": COUNT,
    "text": TEXT,
    "logprobs": REPEAT,
    "segments": REPEAT,
    "words": REPEAT,
    "usage.type": word("duration", "tokens"),
    **under("usage", dict.fromkeys(_USAGE.split(), COUNT)),
    "usage.input_token_details.text_tokens": COUNT,
}
ANSWER: Final = Fields(_ANSWER, _VOCABULARY)
_EVENT: Final[Table] = {
    **_ANSWER,
    "type": word("transcript.text.delta", "transcript.text.done", "transcript.text.segment"),
    "delta": TEXT,
    "segment_id": MADE,
    "id": MADE,
    "object": word("transcription.chunk", "translation.chunk"),
    "created": TIME,
    "model": MADE,
    "speaker": LABEL,
    "start": COUNT,
    "end": COUNT,
    **under("usage", openai_chat.USAGE),
    "choices.*.delta.content": TEXT,
    "choices.*.finish_reason": word("stop", "length"),
    "choices.*.stop_reason": COUNT,
}
_ALONE: Final = ("error", "id", "language", "model", "object", "segment_id", "speaker", "text", "type", "usage")


class TranscriptStream(ObjectStream):
    """Deltas, then an event that says the whole text; vLLM's are chunks like a chat's."""

    def ended(self, body: Body) -> Collection[Group]:
        """Return everything with the event that says the whole, or that finishes the choice."""
        choices = body.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        finished = isinstance(first, dict) and first.get("finish_reason") is not None
        return EVERYTHING if finished or body.get("type") == "transcript.text.done" else ()

    def frame(self, last: Body) -> Body:
        """Return an event of the kind of ``last``, without its text."""
        return {key: last[key] for key in ("type", "id", "object", "created", "model") if key in last}

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the last event of the kind that the stream has."""
        if "choices" in last:
            ended = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "content_filter"}]}
            return [event_of({**self.frame(last), **ended, "hoopguard": dict(final)}), Event("[DONE]")]
        return [event_of({"type": "transcript.text.done", "text": "", "hoopguard": dict(final)})]


STREAM: Final = TranscriptStream(Fields(_EVENT, _VOCABULARY), _ALONE)


def check_request(body: Any) -> None:
    """Refuse what would be answered with something else than JSON.

    Raises:
        BodyError: subtitles or a bare text are asked for, or there is no file.
    """
    if not isinstance(body.get("file"), dict):
        raise BodyError("the form has to hold a file")
    if body.get("response_format", "json") not in _FORMATS.words:
        raise BodyError(f"response_format has to be one of {', '.join(sorted(_FORMATS.words))}")


def _format(name: str) -> Format:
    return Format(
        name=name,
        method="POST",
        path=f"/v1/{name}",
        request=REQUEST,
        answer=ANSWER,
        stream=STREAM,
        needs_model=True,
        check=check_request,
        body=MultipartBody(files=("file",)),
    )


TRANSCRIPTIONS: Final = _format("audio/transcriptions")
TRANSLATIONS: Final = _format("audio/translations")
