"""KServe v2, the Open Inference Protocol of Triton and others: infer with tensors, generate with texts.

A tensor of ``BYTES`` is text. Floats and truth values pass by their size. Whole numbers may be token ids, which nobody
can read. Tensors outside of the JSON (the binary data extension, shared memory) cannot be inspected at all.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.framing import Event
from hoopguard.payload.object_stream import ObjectStream
from hoopguard.payload.shapes import Body, Group, event_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import (
    COUNT,
    JSON_TEXT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    Fields,
    Opaque,
    Parts,
    Strings,
    Table,
    Treatment,
    under,
)
from hoopguard.payload.wire import Format

_WORDS: Final = """
    BOOL BYTES FP16 FP32 FP64 BF16 INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 INPUT OUTPUT binary_data error
    exclude_input_in_output hoopguard ignore_eos sequence_end sequence_start stop_words bad_words stream text_input
    text_output inputs outputs parameters
"""
VOCABULARY: Final = frozenset(_WORDS.split())
_PARAMETERS: Final[Table] = {
    "binary_data_size": Opaque("binary data"),
    "binary_data_output": Opaque("binary data"),
    "shared_memory_region": Opaque("shared memory"),
    "?": COUNT,
}
_TENSOR: Final[Table] = {"name": LABEL, "shape.*": COUNT, **under("parameters", _PARAMETERS)}
_WHOLE: Final = "INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64"
_FLOAT: Final = "FP16 FP32 FP64 BF16 BOOL"
_DEEPEST: Final = 4


def _tensor(datatype_of_data: Treatment, depth: int = 0) -> Table:
    """Return the table of a tensor whose data are numbers, flat or as nested lists."""
    data = {".".join(["data", *["*"] * stars]): datatype_of_data for stars in range(1, depth + 1)}
    return {**_TENSOR, **(data or {"data": datatype_of_data})}


TENSOR: Final = Parts(
    "datatype",
    {
        "BYTES": _tensor(TEXT),
        **{name: _tensor(SMALL, _DEEPEST) for name in _FLOAT.split()},
        **{name: _tensor(Opaque("tokens")) for name in _WHOLE.split()},
    },
)
INFER_REQUEST: Final = Fields(
    {
        "id": MADE,
        **under("parameters", _PARAMETERS),
        "inputs.*": TENSOR,
        "outputs.*.name": LABEL,
        **under("outputs.*.parameters", _PARAMETERS),
    },
    VOCABULARY,
)
INFER_ANSWER: Final = Fields(
    {
        "id": MADE,
        "model_name": MADE,
        "model_version": MADE,
        **under("parameters", _PARAMETERS),
        "outputs.*": TENSOR,
        "error": TEXT,
    },
    VOCABULARY,
)
_SIZES: Final = """
    max_tokens min_length num_return_sequences beam_width top_k top_p temperature length_penalty repetition_penalty
    presence_penalty frequency_penalty random_seed
"""
GENERATE_REQUEST: Final = Fields(
    {
        "id": MADE,
        "text_input": Strings("tokens", many=True),
        "sampling_parameters": JSON_TEXT,
        **under("parameters", _PARAMETERS),
        **dict.fromkeys(_SIZES.split(), COUNT),
        "end_id": COUNT,
        "pad_id": COUNT,
        "image": Opaque("image"),
        "images": Opaque("image"),
        "input_ids": Opaque("tokens"),
        "prompt_embedding_table": Opaque("tokens"),
    },
    VOCABULARY,
)
GENERATE_ANSWER: Final = Fields(
    {
        "id": MADE,
        "model_name": MADE,
        "model_version": MADE,
        "text_output": TEXT,
        "output_ids": REPEAT,
        "token_ids": REPEAT,
        "output_log_probs": REPEAT,
        "context_logits": REPEAT,
        "generation_logits": REPEAT,
        "cum_log_probs": COUNT,
        "batch_index": COUNT,
        "sequence_id": COUNT,
        "sequence_index": COUNT,
        "finish_reason": LABEL,
        "error": TEXT,
    },
    VOCABULARY,
)


class GenerateStream(ObjectStream):
    """A piece of ``text_output`` an event; nothing but the stream's end says that it is over."""

    api = "kserve"
    event_names: frozenset[str] = frozenset()

    def frame(self, last: Body) -> Body:
        """Return an event of the same model."""
        return {key: last[key] for key in ("id", "model_name", "model_version") if key in last} | {"text_output": ""}

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return an event that says why no other comes."""
        return [event_of({**self.frame(last), "hoopguard": dict(final)})]


STREAM: Final = GenerateStream(GENERATE_ANSWER, alone=("error", "finish_reason", "id", "model_name", "model_version"))


def check_infer(body: Any) -> None:
    """Refuse what is no inference.

    Raises:
        BodyError: there are no inputs.
    """
    if not isinstance(body.get("inputs"), list):
        raise BodyError("the body has to hold a list of inputs")


INFER: Final = Format(
    name="v2/infer",
    method="POST",
    path="/v2/models/{model}/infer",
    api="kserve",
    request=INFER_REQUEST,
    answer=INFER_ANSWER,
    check=check_infer,
)
GENERATE: Final = Format(
    name="v2/generate",
    method="POST",
    path="/v2/models/{model}/generate",
    api="kserve",
    request=GENERATE_REQUEST,
    answer=GENERATE_ANSWER,
)
GENERATE_STREAM: Final = Format(
    name="v2/generate_stream",
    method="POST",
    path="/v2/models/{model}/generate_stream",
    api="kserve",
    request=GENERATE_REQUEST,
    answer=GENERATE_ANSWER,
    stream=STREAM,
    defaults={"stream": True},
)
