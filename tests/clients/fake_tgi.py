"""Text Generation Inference: generate, and its stream, whose last event says the whole text again."""

from collections.abc import Iterator
from typing import ClassVar

from fake import Fake, Json, Route, event_stream
from speech import pieces, said

from hoopguard.demo.connection import Reply, json_reply


class FakeTGI(Fake):
    """Answers with details when they are asked for."""

    api: ClassVar[str] = "tgi"

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the two routes."""
        return {
            ("POST", "/generate"): _generate,
            ("POST", "/generate_stream"): lambda _: event_stream(_events()),
        }

    def error(self, message: str) -> Json:
        """Return TGI's error object."""
        return {"error": message, "error_type": "validation"}


def _generate(asked: Json) -> Reply:
    text = said("generated")
    details = {"details": _details(asked, text)} if asked.get("parameters", {}).get("details") else {}
    return json_reply({"generated_text": text, **details})


def _details(asked: Json, text: str) -> Json:
    return {
        "finish_reason": "eos_token",
        "generated_tokens": len(pieces(text)),
        "seed": None,
        "prefill": [{"id": 1, "text": piece, "logprob": -0.5} for piece in pieces(asked["inputs"])],
        "tokens": [_token(piece) for piece in pieces(text)],
    }


def _token(piece: str) -> Json:
    return {"id": 791, "text": piece, "logprob": -0.125, "special": False}


def _events() -> Iterator[Json]:
    text = said("generated")
    said_pieces = pieces(text)
    for index, piece in enumerate(said_pieces, 1):
        last = index == len(said_pieces)
        counts = {"generated_tokens": len(said_pieces), "input_length": 31, "seed": None}
        yield {
            "index": index,
            "token": _token(piece),
            "generated_text": text if last else None,
            "details": {"finish_reason": "eos_token", **counts} if last else None,
        }
