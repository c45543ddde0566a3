"""OpenAI's older completions: one prompt in, one text a choice out."""

from typing import Any, Final

from hoopguard.payload import openai_chat
from hoopguard.payload.fields import Fields, Uninspectable
from hoopguard.payload.streaming import StreamShape

_TOP: Final = {("id",), ("object",), ("model",), ("system_fingerprint",), ("service_tier",)}
_REPEATS: Final = {("logprobs",), ("token_ids",), ("prompt_logprobs",), ("prompt_token_ids",)}

_VOCABULARY: Final = openai_chat.REQUEST.vocabulary | {"prompt", "suffix", "text_completion", "text_offset"}

REQUEST: Final = Fields(vocabulary=_VOCABULARY, structural=frozenset({("model",)}))

ANSWER: Final = Fields(
    vocabulary=_VOCABULARY,
    structural=frozenset({*_TOP, ("choices", "*", "finish_reason")}),
    repeats=frozenset({("prompt_logprobs",), ("prompt_token_ids",), *(("choices", "*", *path) for path in _REPEATS)}),
)

STREAM: Final = StreamShape(fields=ANSWER, empty_choice={"text": ""})


_EMBEDDED: Final = ("input_embeds", "input_ids", "prompt_embeds", "prompt_token_ids")


def check_request(body: Any) -> None:
    """Refuse prompts given as token ids or embeddings, which nobody here can read.

    Raises:
        Uninspectable: the prompt, or the suffix, is not text.
    """
    if any(body.get(name) is not None for name in _EMBEDDED):
        raise Uninspectable("token ids and embeddings cannot be inspected; send the prompt as text")
    for name in ("prompt", "suffix"):
        value = body.get(name)
        entries = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(entry, str) for entry in entries):
            raise Uninspectable(f"a {name} that is not text, such as token ids, cannot be inspected; send it as text")
