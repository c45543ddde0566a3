"""Whether a realtime model is in the middle of an answer: of a response, or of a text that stands outside of one."""

from typing import Any, Final

from hoopguard.payload.openai_realtime_events import TOLD

_MOST_OPEN: Final = 1_024
_ENDS: Final = frozenset({"done", "completed", "failed"})


class OpenAnswers:
    """Follows a model's events; true while something that it has begun to say is not finished."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], str] = {}

    def __bool__(self) -> bool:
        """Tell whether an answer has begun and not ended."""
        return bool(self._open)

    def follow(self, event: Any) -> None:
        """Take the model's next event, whatever it is; of very many open answers the first ones are forgotten."""
        if not isinstance(event, dict):
            return
        kind, _, state = str(event.get("type")).rpartition(".")
        if kind == "response":
            self._follow_response(state, _id(event.get("response"), "id"))
        elif kind in TOLD and state == "delta":
            self._begin((kind, _id(event, "item_id")), _id(event, "response_id"))
        elif kind in TOLD and state in _ENDS:
            self._open.pop((kind, _id(event, "item_id")), None)

    def _follow_response(self, state: str, response: str) -> None:
        if state == "created":
            self._begin(("response", response), response)
        elif state == "done":
            self._open = {key: within for key, within in self._open.items() if within != response}

    def _begin(self, key: tuple[str, str], response: str) -> None:
        self._open.setdefault(key, response)
        if len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]


def _id(holder: Any, key: str) -> str:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
