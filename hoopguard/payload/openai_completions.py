"""OpenAI's older completions: one prompt in, one text a choice out."""

from typing import Any, Final

from hoopguard.payload.fields import Fields, Uninspectable
from hoopguard.payload.streaming import StreamShape

_TOP: Final = {("id",), ("object",), ("model",), ("system_fingerprint",), ("service_tier",)}
_REPEATS: Final = {("logprobs",), ("token_ids",), ("prompt_logprobs",), ("prompt_token_ids",)}

REQUEST: Final = Fields(structural=frozenset({("model",)}))

ANSWER: Final = Fields(
    structural=frozenset({*_TOP, ("choices", "*", "finish_reason")}),
    repeats=frozenset({("prompt_logprobs",), ("prompt_token_ids",), *(("choices", "*", *path) for path in _REPEATS)}),
)

STREAM: Final = StreamShape(fields=ANSWER, empty_choice={"text": ""})


def check_request(body: Any) -> None:
    """Refuse prompts given as token ids, which nobody here can read.

    Raises:
        Uninspectable: the prompt, or the suffix, is made of numbers.
    """
    prompt = body.get("prompt") if isinstance(body, dict) else None
    if isinstance(prompt, list) and not all(isinstance(entry, str) for entry in prompt):
        raise Uninspectable("a prompt given as token ids cannot be inspected; send it as text")
