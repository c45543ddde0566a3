"""llama.cpp's own API: completion and infill, whole or as events of which the last one says ``stop``."""

from collections.abc import Iterator
from typing import ClassVar, Final

from fake import Fake, Json, Route, event_stream
from speech import pieces, said

from hoopguard.demo.connection import Reply, json_reply

_TIMINGS: Final = {
    "prompt_n": 31,
    "prompt_ms": 415.555,
    "prompt_per_token_ms": 13.4050,
    "prompt_per_second": 74.5991,
    "predicted_n": 64,
    "predicted_ms": 1555.0132,
    "predicted_per_token_ms": 24.2970,
    "predicted_per_second": 41.1572,
}


class FakeLlamaCpp(Fake):
    """Says the prompt again in its last event, with the settings that it used."""

    api: ClassVar[str] = "llamacpp"

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the two routes, which answer alike."""
        return {("POST", "/completion"): _completion, ("POST", "/infill"): _completion}

    def error(self, message: str) -> Json:
        """Return llama.cpp's error object."""
        return {"error": {"code": 401, "message": message, "type": "authentication_error"}}


def _completion(asked: Json) -> Reply:
    text = said("infill" if "input_prefix" in asked else "completion")
    if asked.get("stream"):
        return event_stream(_events(asked, text))
    probabilities = {"completion_probabilities": _probabilities(text)} if asked.get("n_probs") else {}
    return json_reply({"index": 0, "content": text, "tokens": _ids(asked, text), **_end(asked), **probabilities})


def _events(asked: Json, text: str) -> Iterator[Json]:
    for count, piece in enumerate(pieces(text), 1):
        more = {"completion_probabilities": _probabilities(piece)} if asked.get("n_probs") else {}
        counts = {"tokens_predicted": count, "tokens_evaluated": 31}
        yield {
            "index": 0,
            "content": piece,
            "tokens": _ids(asked, piece),
            "stop": False,
            "id_slot": -1,
            **counts,
            **more,
        }
    yield {"index": 0, "content": "", "tokens": [], **_end(asked)}


def _ids(asked: Json, text: str) -> list[int]:
    return [791 + number for number, _ in enumerate(pieces(text))] if asked.get("return_tokens") else []


def _end(asked: Json) -> Json:
    return {
        "id_slot": 0,
        "stop": True,
        "model": "llama-3-8b",
        "tokens_predicted": 64,
        "tokens_evaluated": 31,
        "generation_settings": _settings(asked),
        "prompt": f"<|begin_of_text|>{asked['prompt']}",
        "has_new_line": False,
        "truncated": False,
        "stop_type": "eos",
        "stopping_word": "",
        "tokens_cached": 94,
        "timings": _TIMINGS,
    }


def _settings(asked: Json) -> Json:
    return {
        "n_predict": asked.get("n_predict", -1),
        "seed": 4294967295,
        "temperature": 0.800000011920929,
        "dynatemp_range": 0.0,
        "top_k": 40,
        "top_p": 0.949999988079071,
        "min_p": 0.05000000074505806,
        "repeat_last_n": 64,
        "dry_sequence_breakers": ["\n", ":", '"', "*"],
        "mirostat": 0,
        "stop": asked.get("stop", []),
        "max_tokens": -1,
        "n_keep": 0,
        "ignore_eos": False,
        "stream": bool(asked.get("stream")),
        "logit_bias": [],
        "grammar": "",
        "samplers": ["penalties", "dry", "top_k", "top_p", "min_p", "temperature"],
        "post_sampling_probs": False,
        "lora": [],
    }


def _probabilities(text: str) -> list[Json]:
    return [
        {"id": 791, "token": piece, "bytes": list(piece.encode()), "logprob": -0.125, "top_logprobs": []}
        for piece in pieces(text)
    ]
