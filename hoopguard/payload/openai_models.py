"""The list of models, as OpenAI's API and those that follow it give it."""

from typing import Final

from hoopguard.payload.tables import COUNT, LABEL, MADE, TIME, Fields, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    allow_create_engine allow_fine_tuning allow_logprobs allow_sampling allow_search_indices allow_view group
    is_blocking organization
"""

ANSWER: Final = Fields(
    {
        "object": word("list"),
        "data.*.id": MADE,
        "data.*.object": word("model", "model_permission"),
        "data.*.created": TIME,
        "data.*.owned_by": MADE,
        "data.*.root": MADE,
        "data.*.parent": MADE,
        "data.*.max_model_len": COUNT,
        "data.*.permission.*.id": MADE,
        "data.*.permission.*.object": LABEL,
        "data.*.permission.*.created": TIME,
    },
    frozenset(_WORDS.split()),
)

FORMAT: Final = Format(name="models", method="GET", path="/v1/models", answer=ANSWER)
