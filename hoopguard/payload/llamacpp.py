"""llama.cpp's own API: completion and infill, whole or as server-sent events of which the last says ``stop``."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.fields import index_of
from hoopguard.payload.framing import Event
from hoopguard.payload.object_stream import ObjectStream
from hoopguard.payload.shapes import Body, Group, Place, event_of
from hoopguard.payload.tables import (
    COUNT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    TIME,
    Fields,
    Number,
    Opaque,
    Path,
    Strings,
    Table,
    under,
    word,
)
from hoopguard.payload.wire import Format

_WORDS: Final = """
    anyOf array boolean cache_prompt const default description enum error grammar grammar_lazy has_new_line hoopguard
    ignore_eos integer items json_schema maximum minimum null number object post_sampling_probs preserved_tokens
    properties required return_progress return_tokens stop stream string timings_per_token title truncated
"""
VOCABULARY: Final = frozenset(_WORDS.split())
_COUNTS: Final = """
    n_predict max_tokens n_indent n_keep n_discard n_cmpl n_cache_reuse n_probs min_keep t_max_predict_ms id_slot top_k
    repeat_last_n dry_allowed_length dry_penalty_last_n mirostat temperature dynatemp_range dynatemp_exponent top_p
    min_p top_n_sigma xtc_probability xtc_threshold typical_p repeat_penalty presence_penalty frequency_penalty
    dry_multiplier dry_base mirostat_tau mirostat_eta sse_ping_interval
"""
_SAMPLING: Final[Table] = {
    **dict.fromkeys(_COUNTS.split(), COUNT),
    "seed": TIME,
    "samplers.*": LABEL,
    "lora.*.id": SMALL,
    "lora.*.scale": SMALL,
    "speculative.?": COUNT,
}
_PROMPTS: Final = Strings("tokens", many=True)
REQUEST: Final = Fields(
    {
        **_SAMPLING,
        "model": MADE,
        "prompt": _PROMPTS,
        "input_prefix": Strings("tokens"),
        "input_suffix": Strings("tokens"),
        "input_extra.*.filename": TEXT,
        "input_extra.*.text": TEXT,
        "image_data": Opaque("image"),
        "multimodal_data": Opaque("image"),
        "dry_sequence_breakers.*": TEXT,
        "json_schema": TEXT,
        "grammar": TEXT,
        "logit_bias": TEXT,
        "response_fields.*": LABEL,
        "stop.*": TEXT,
    },
    VOCABULARY,
)
_ANSWER: Final[Table] = {
    "content": TEXT,
    "tokens": REPEAT,
    "completion_probabilities": REPEAT,
    "probs": REPEAT,
    "index": SMALL,
    "id_slot": SMALL,
    "model": MADE,
    "prompt": TEXT,
    "stop_type": word("none", "eos", "limit", "word"),
    "stopping_word": TEXT,
    "tokens_predicted": COUNT,
    "tokens_evaluated": COUNT,
    "tokens_cached": COUNT,
    "timings.?": Number(99_999_999),
    "prompt_progress.?": COUNT,
    **under("generation_settings", {**_SAMPLING, "?": COUNT}),
    "generation_settings.seed": TIME,
}
ANSWER: Final = Fields({**_ANSWER, **under("*", _ANSWER)}, VOCABULARY)
_ALONE: Final = ("error", "generation_settings", "model", "prompt", "stop_type", "stopping_word")


class CompletionStream(ObjectStream):
    """Texts by the index of the prompt, or of its several answers."""

    api = "llamacpp"
    event_names = frozenset({"error"})

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the index and the path."""
        place = super().place(body, path)
        return None if place is None else (index_of(body, 0), *path)

    def ended(self, body: Body) -> Collection[Group]:
        """Return the index whose last event this is."""
        return {index_of(body, 0)} if body.get("stop") else ()

    def frame(self, last: Body) -> Body:
        """Return an event of the same index."""
        return {"index": index_of(last, 0), "content": "", "stop": False}

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the last event of every index that was still talking."""
        ended = {"content": "", "stop": True, "stop_type": "word", "stopping_word": "", "hoopguard": dict(final)}
        return [event_of({"index": index, **ended}) for index in open_groups]


STREAM: Final = CompletionStream(Fields(_ANSWER, VOCABULARY), _ALONE)


def _format(name: str, path: str) -> Format:
    return Format(name=name, method="POST", path=path, api="llamacpp", request=REQUEST, answer=ANSWER, stream=STREAM)


COMPLETION: Final = _format("completion", "/completion")
COMPLETIONS: Final = _format("llamacpp/completions", "/completions")
INFILL: Final = _format("infill", "/infill")
