"""OpenAI's older completions: one prompt in, one text a choice out."""

from typing import Final

from hoopguard.payload import openai_chat
from hoopguard.payload.openai_stream import ChoiceStream
from hoopguard.payload.tables import TEXT, Fields, under
from hoopguard.payload.wire import Format

_VOCABULARY: Final = openai_chat.VOCABULARY | {"prompt", "suffix", "text_offset"}

REQUEST: Final = Fields(
    {
        **openai_chat.SAMPLING,
        "prompt": openai_chat.PROMPTS,
        "suffix": openai_chat.PROMPT,
        "user": TEXT,
    },
    _VOCABULARY,
)

ANSWER: Final = Fields(
    {
        **openai_chat.HEAD,
        **under("choices.*", openai_chat.CHOICE),
        "choices.*.text": TEXT,
    },
    _VOCABULARY,
)

STREAM: Final = ChoiceStream(ANSWER, {"text": ""})

FORMAT: Final = Format(
    name="completions",
    method="POST",
    path="/v1/completions",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    needs_model=True,
)
