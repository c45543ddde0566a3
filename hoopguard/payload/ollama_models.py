"""What Ollama tells of its models: which there are, which run, and what one of them is."""

from typing import Any, Final

from hoopguard.payload.ollama import MEASURE, VOCABULARY
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import COUNT, LABEL, MADE, TEXT, Fields, Table, under
from hoopguard.payload.wire import Format

_DETAILS: Final[Table] = {
    "parent_model": MADE,
    "format": MADE,
    "family": MADE,
    "families.*": MADE,
    "parameter_size": MADE,
    "quantization_level": MADE,
}
_LISTED: Final = Fields(
    {
        "models.*.name": MADE,
        "models.*.model": MADE,
        "models.*.modified_at": MADE,
        "models.*.expires_at": MADE,
        "models.*.size": MEASURE,
        "models.*.size_vram": MEASURE,
        "models.*.digest": MADE,
        "models.*.context_length": COUNT,
        **under("models.*.details", _DETAILS),
    },
    VOCABULARY,
)
_SHOWN: Final = Fields(
    {
        "license": TEXT,
        "modelfile": TEXT,
        "parameters": TEXT,
        "template": TEXT,
        "system": TEXT,
        "modified_at": MADE,
        "capabilities.*": LABEL,
        "model_info.?": MEASURE,
        **under("details", _DETAILS),
        **under("projector_info", {"?": MEASURE}),
        "tensors.*.name": MADE,
        "tensors.*.type": MADE,
        "tensors.*.shape.*": COUNT,
    },
    VOCABULARY,
)

TAGS: Final = Format(name="api/tags", method="GET", path="/api/tags", api="ollama", answer=_LISTED)
PS: Final = Format(name="api/ps", method="GET", path="/api/ps", api="ollama", answer=_LISTED)
VERSION: Final = Format(
    name="api/version", method="GET", path="/api/version", api="ollama", answer=Fields({"version": MADE})
)


def check_show(body: Any) -> None:
    """Refuse what names its model by the old key, which nothing else here looks at.

    Raises:
        BodyError: there is a ``name``.
    """
    if body.get("name") is not None:
        raise BodyError("the model has to be named as model, not as name")


SHOW: Final = Format(
    name="api/show",
    method="POST",
    path="/api/show",
    api="ollama",
    request=Fields({"model": MADE, "name": MADE, "system": TEXT, "template": TEXT}, VOCABULARY),
    answer=_SHOWN,
    needs_model=True,
    check=check_show,
)
