"""OpenAI's images, as self-hosted servers speak them: made from a prompt, or from other images and a prompt."""

from typing import Final

from hoopguard.payload import openai_chat
from hoopguard.payload.multipart import MultipartBody
from hoopguard.payload.tables import COUNT, LABEL, MADE, SMALL, TEXT, TIME, Fields, Opaque, Table, under, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    auto background cfg_scale guidance_scale image[] input_tokens_details negative_prompt num_inference_steps prompt
    revised_prompt true false
"""
_VOCABULARY: Final = openai_chat.VOCABULARY | frozenset(_WORDS.split())
_ASKED: Final[Table] = {
    "model": MADE,
    "prompt": TEXT,
    "negative_prompt": TEXT,
    "user": TEXT,
    "background": word("auto", "opaque", "transparent"),
    "input_fidelity": word("high", "low"),
    "moderation": word("auto", "low"),
    "n": SMALL,
    "output_compression": SMALL,
    "output_format": word("jpeg", "png", "webp"),
    "partial_images": SMALL,
    "quality": LABEL,
    "response_format": word("b64_json", "url"),
    "seed": TIME,
    "size": LABEL,
    "style": word("natural", "vivid"),
}
_FILE: Final[Table] = {"data": Opaque("image"), "filename": TEXT, "type": LABEL}
_USAGE: Final = """
    input_tokens output_tokens total_tokens input_tokens_details.image_tokens input_tokens_details.text_tokens
    output_tokens_details.image_tokens output_tokens_details.text_tokens
"""
_IMAGES: Final[Table] = dict.fromkeys(("image", "image[].*", "mask"), Opaque("image"))
"""Some servers take them as base64 or an address, too, with and without a form."""

GENERATIONS_REQUEST: Final = Fields({**_ASKED, **_IMAGES}, _VOCABULARY)
EDITS_REQUEST: Final = Fields(
    {**_ASKED, **_IMAGES, **under("image", _FILE), **under("image[].*", _FILE), **under("mask", _FILE)}, _VOCABULARY
)
ANSWER: Final = Fields(
    {
        "created": TIME,
        "background": word("opaque", "transparent"),
        "output_format": word("jpeg", "png", "webp"),
        "quality": LABEL,
        "size": LABEL,
        "data.*.b64_json": Opaque("image"),
        "data.*.url": Opaque("image"),
        "data.*.revised_prompt": TEXT,
        **under("usage", dict.fromkeys(_USAGE.split(), COUNT)),
    },
    _VOCABULARY,
)

GENERATIONS: Final = Format(
    name="images/generations",
    method="POST",
    path="/v1/images/generations",
    request=GENERATIONS_REQUEST,
    answer=ANSWER,
)


def _form(name: str) -> Format:
    return Format(
        name=name,
        method="POST",
        path=f"/v1/{name}",
        request=EDITS_REQUEST,
        answer=ANSWER,
        body=MultipartBody(files=("image", "image[]", "mask")),
    )


EDITS: Final = _form("images/edits")
VARIATIONS: Final = _form("images/variations")
