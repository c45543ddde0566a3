"""Asking a model through the OpenAI SDK, now or meanwhile; a refusal is an answer too."""

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai import APIConnectionError, APIStatusError, OpenAI

from hoopguard.demo.stage import Helper, Stage

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a caller got: ``content``, or the SDK's exception by name with the gateway's code and message."""

    content: str = ""
    error: str = ""
    status: int = 200
    code: str = ""
    message: str = ""
    details: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.error} {self.status} {self.code}: {self.message}" if self.error else f"“{self.content}”"


def ask(sdk: OpenAI, prompt: str, model: str = "llama-3-8b", headers: Headers | None = None) -> Reply:
    """Ask, and wait for the whole answer."""
    try:
        answer = sdk.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], extra_headers=headers
        )
    except APIStatusError as error:
        return refusal(error)
    except APIConnectionError as error:
        return Reply(error=type(error).__name__, status=0, message=str(error))
    return Reply(answer.choices[0].message.content or "")


def refusal(error: APIStatusError) -> Reply:
    """Read what an SDK's exception says."""
    body = error.body if isinstance(error.body, dict) else {}
    message, details = str(body.get("message", error.message)), body.get("hoopguard")
    return Reply("", type(error).__name__, error.status_code, str(body.get("code", "")), message, details)


class Meanwhile:
    """A question that waits for its answer while others act. Its thread does not outlive the demo."""

    def __init__(self, sdk: OpenAI, prompt: str) -> None:
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        threading.Thread(target=lambda: self._replies.put(ask(sdk, prompt)), daemon=True).start()

    def reply(self, timeout_s: float = 60.0) -> Reply:
        """Return the answer once it is there.

        Raises:
            TimeoutError: it does not come.
        """
        try:
            return self._replies.get(timeout=timeout_s)
        except queue.Empty as error:
            raise TimeoutError(f"no answer in {timeout_s:g} s") from error


@dataclass(frozen=True, slots=True)
class Streamed:
    """A streamed answer: its pieces and when they came (seconds from the question), and how it ended.

    ``early`` counts the pieces that were there while the model was still talking.
    """

    pieces: tuple[str, ...]
    first_s: float
    last_s: float
    early: int
    finish_reason: str

    @property
    def content(self) -> str:
        """Return the whole text."""
        return "".join(self.pieces)


def stream(stage: Stage, sdk: OpenAI, model: Helper, prompt: str) -> Streamed:
    """Ask for a stream and read it as it comes, looking at every fifth piece whether the model still talks."""
    started, times, pieces, early, finish = time.monotonic(), [0.0], [], 0, ""
    chunks = sdk.chat.completions.create(
        model="llama-3-8b", messages=[{"role": "user", "content": prompt}], stream=True
    )
    for chunk in chunks:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            if choice.delta.content:
                pieces.append(choice.delta.content)
                times.append(time.monotonic() - started)
                if len(pieces) % 5 == 0 and stage.seen(model)[-1]["outcome"] == "pending":
                    early = len(pieces)
    return Streamed(tuple(pieces), times[min(1, len(times) - 1)], times[-1], early, finish)
