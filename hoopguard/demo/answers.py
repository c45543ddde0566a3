"""What the demo model says: always the same to the same prompt, and about the prompt."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CUSTOMER_EMAIL: Final = "ada.lovelace@example.com"
CUSTOMER_PHONE: Final = "+1 415-555-0132"
CUSTOMER_CARD: Final = "4111 1111 1111 1111"
CUSTOMER: Final = (
    f"The customer is Ada Lovelace. Write to {CUSTOMER_EMAIL}, call {CUSTOMER_PHONE}; "
    f"the card on file is {CUSTOMER_CARD}. Is there anything else?"
)

_CUSTOMER: Final = re.compile(r"who is the customer", re.I)
_SAY: Final = re.compile(r"\bsay: ?(.*)", re.I | re.S)
_COUNT: Final = re.compile(r"\bcount to (\d{1,4})\b", re.I)
_REFUSE: Final = re.compile(r"\bplease refuse\b", re.I)
_THINK: Final = re.compile(r"\bthink\b", re.I)
_CALL: Final = re.compile(r"\b(call|use) (the|a|your) tools?\b", re.I)
# Small pieces that cut through words and numbers, as a model's tokens do.
_TOKEN: Final = re.compile(r"\s?\S{1,4}|\s+")


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice of an answer; empty texts are not sent."""

    content: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool: str = ""
    tool_arguments: str = ""

    @property
    def finish_reason(self) -> str:
        """Return why the model stopped."""
        return "tool_calls" if self.tool else "stop"


def tokens(text: str) -> list[str]:
    """Cut a text into the pieces in which it is streamed; joined, they are the text."""
    return _TOKEN.findall(text)


def answer_chat(asked: Mapping[str, Any], said: str | None = None) -> Answer:
    """Answer the last user message, or with ``said`` if that is given.

    The prompt steers: ``who is the customer`` gives personal data, ``say: …`` gives the rest of the prompt, ``count
    to N`` a long answer, ``please refuse`` a refusal, ``think`` (or ``reasoning_effort``) reasoning as well, ``use the
    tool`` a tool call; anything else is echoed in a sentence.
    """
    prompt = last_user_text(asked.get("messages"))
    text = said if said is not None else _spoken(prompt)
    reasoning = f"The user asks: {prompt} I know {CUSTOMER_EMAIL}." if _THINK.search(prompt) else ""
    if asked.get("reasoning_effort") not in (None, "none") and not reasoning:
        reasoning = f"The user asks: {prompt}"
    if _REFUSE.search(prompt):
        return Answer(refusal=f"I will not: {text}", reasoning=reasoning)
    if _CALL.search(prompt):
        arguments = {"query": text, "contact": {"email": CUSTOMER_EMAIL, "card": CUSTOMER_CARD}}
        return Answer(reasoning=reasoning, tool=_tool_name(asked), tool_arguments=json.dumps(arguments))
    return Answer(content=text, reasoning=reasoning)


def answer_completion(prompt: str, said: str | None = None) -> Answer:
    """Answer one prompt of the completions route, steered as a chat is."""
    return Answer(content=said if said is not None else _spoken(prompt))


def last_user_text(messages: Any) -> str:
    """Return the text of the last user message, its parts joined."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                parts = (part.get("text", "") for part in content if isinstance(part, dict))
                return " ".join(part for part in parts if isinstance(part, str))
            return content if isinstance(content, str) else ""
    return ""


def _spoken(prompt: str) -> str:
    if _CUSTOMER.search(prompt):
        return CUSTOMER
    if match := _SAY.search(prompt):
        return match[1]
    if match := _COUNT.search(prompt):
        return " ".join(str(number) for number in range(1, int(match[1]) + 1))
    return f'You said: "{prompt}". I am a demo model, and that is all I can do with it.'


def _tool_name(asked: Mapping[str, Any]) -> str:
    tools = asked.get("tools")
    if isinstance(tools, list) and tools and isinstance(tools[0], dict):
        function = tools[0].get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            return str(function["name"])
    return "lookup_customer"
