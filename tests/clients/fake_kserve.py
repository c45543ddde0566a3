"""The Open Inference Protocol of KServe and Triton: infer, and Triton's generate and its stream."""

from typing import ClassVar

from fake import Fake, Json, Route, event_stream
from speech import pieces, said

from hoopguard.demo.connection import Reply, json_reply

_HEAD = {"model_name": "llama", "model_version": "1"}


class FakeKServe(Fake):
    """Answers texts with a tensor of bytes."""

    api: ClassVar[str] = "kserve"

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the three routes of the model called llama."""
        return {
            ("POST", "/v2/models/llama/infer"): _infer,
            ("POST", "/v2/models/llama/generate"): lambda asked: json_reply({**_HEAD, "text_output": said("output")}),
            ("POST", "/v2/models/llama/generate_stream"): lambda asked: event_stream(
                {**_HEAD, "text_output": piece} for piece in pieces(said("output"))
            ),
        }


def _infer(asked: Json) -> Reply:
    texts = {"name": "text_output", "datatype": "BYTES", "shape": [1, 2], "data": [said("output"), said("another")]}
    scores = {"name": "cum_log_probs", "datatype": "FP32", "shape": [1], "data": [-4.155550132]}
    return json_reply({**_HEAD, "id": asked.get("id", ""), "outputs": [texts, scores]})
