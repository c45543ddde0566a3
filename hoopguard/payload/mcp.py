"""The Model Context Protocol over streamable HTTP: JSON-RPC messages, whole, in batches, or as server-sent events.

Requests, results, errors and notifications go both ways, so that one table serves all of them.
"""

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.bodies import JsonBody
from hoopguard.payload.errors import error_of
from hoopguard.payload.framing import Event
from hoopguard.payload.identifiers import is_label
from hoopguard.payload.shapes import Body, Group, StreamShape, event_of
from hoopguard.payload.sse import EventParser
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import (
    COUNT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    Fields,
    Number,
    Opaque,
    Parts,
    Table,
    under,
    word,
)
from hoopguard.payload.wire import Format

_WORDS: Final = """
    2.0 action annotations anyOf arguments array blob boolean call cancel capabilities clientInfo completion completions
    const content context create data default description destructiveHint elicitation enum experimental form hasMore
    hints hoopguard icons idempotentHint includeContext initialize input inputSchema instructions integer isError
    items listChanged list logging maxItems maxLength maximum message metadata minItems minLength minimum mode
    modelPreferences null number object openWorldHint outputSchema params ping prompts properties readOnlyHint
    requestedSchema required requests resources result roots sampling schema stopSequences string structuredContent
    subscribe systemPrompt tasks temperature text title toolChoice tools type url value websiteUrl additionalProperties
    completion/complete elicitation/create initialize logging/setLevel notifications/cancelled
    notifications/initialized notifications/message notifications/progress notifications/prompts/list_changed
    notifications/resources/list_changed notifications/resources/updated notifications/roots/list_changed
    notifications/tasks/status notifications/tools/list_changed prompts/get prompts/list resources/list resources/read
    resources/subscribe resources/templates/list resources/unsubscribe roots/list sampling/createMessage tasks/cancel
    tasks/get tasks/list tasks/result tools/call tools/list _meta $schema $ref $defs
"""
VOCABULARY: Final = frozenset(_WORDS.split())
_ROLES: Final = word("assistant", "user")
_BYTES: Final = Number(3_999_999_999_999)
_ANNOTATIONS: Final[Table] = {
    "annotations.audience.*": _ROLES,
    "annotations.lastModified": MADE,
    "annotations.priority": SMALL,
    "_meta": TEXT,
}
_RESOURCE: Final[Table] = {
    "uri": TEXT,
    "name": TEXT,
    "title": TEXT,
    "description": TEXT,
    "mimeType": LABEL,
    "size": _BYTES,
    "icons": REPEAT,
    **_ANNOTATIONS,
}
_CONTENTS: Final[Table] = {"uri": TEXT, "mimeType": LABEL, "text": TEXT, "blob": Opaque("file"), "_meta": TEXT}
_BLOCKS: Final[dict[str, Table | Opaque]] = {
    "text": {"text": TEXT, **_ANNOTATIONS},
    "image": Opaque("image"),
    "audio": Opaque("audio"),
    "resource_link": _RESOURCE,
    "resource": {**under("resource", _CONTENTS), **_ANNOTATIONS},
    "tool_use": {"id": MADE, "name": LABEL, "input": TEXT, "_meta": TEXT},
}
_RESULT_BLOCK: Final[Table] = {
    "toolUseId": MADE,
    "content.*": Parts("type", _BLOCKS),
    "structuredContent": TEXT,
    "isError": TEXT,
    "_meta": TEXT,
}
BLOCK: Final = Parts("type", {**_BLOCKS, "tool_result": _RESULT_BLOCK})
_CONTENT: Final[Table] = {
    "content.*": BLOCK,
    "content.data": Opaque("image"),
    "content.resource.blob": Opaque("file"),
}
_TASK: Final[Table] = {
    "taskId": MADE,
    "status": word("cancelled", "completed", "failed", "input_required", "working"),
    "statusMessage": TEXT,
    "createdAt": MADE,
    "lastUpdatedAt": MADE,
    "pollInterval": COUNT,
    "ttl": _BYTES,
}
_PARTY: Final[Table] = {"name": TEXT, "title": TEXT, "version": TEXT, "websiteUrl": TEXT, "icons": REPEAT}
_TOOL: Final[Table] = {
    "name": LABEL,
    "title": TEXT,
    "description": TEXT,
    "inputSchema": TEXT,
    "outputSchema": TEXT,
    "annotations.title": TEXT,
    "execution.taskSupport": word("forbidden", "optional", "required"),
    "icons": REPEAT,
    "_meta": TEXT,
}
_PARAMS: Final[Table] = {
    "_meta.progressToken": LABEL,
    "arguments": TEXT,
    "argument.name": LABEL,
    "argument.value": TEXT,
    **under("clientInfo", _PARTY),
    "context.arguments": TEXT,
    "cursor": MADE,
    "data": TEXT,
    "elicitationId": MADE,
    "level": word("alert", "critical", "debug", "emergency", "error", "info", "notice", "warning"),
    "logger": LABEL,
    "maxTokens": COUNT,
    "message": TEXT,
    "messages.*.role": _ROLES,
    **under("messages.*", _CONTENT),
    "modelPreferences.hints.*.name": LABEL,
    "name": LABEL,
    "progress": COUNT,
    "progressToken": LABEL,
    "protocolVersion": TEXT,
    "reason": TEXT,
    "ref.name": LABEL,
    "ref.type": word("ref/prompt", "ref/resource"),
    "ref.uri": TEXT,
    "requestId": LABEL,
    "systemPrompt": TEXT,
    "task.ttl": _BYTES,
    "temperature": SMALL,
    "toolChoice.mode": word("auto", "none", "required"),
    **under("tools.*", _TOOL),
    "total": COUNT,
    "uri": TEXT,
    **_TASK,
}
_RESULT: Final[Table] = {
    "action": word("accept", "cancel", "decline"),
    **_CONTENT,
    "completion.total": COUNT,
    "completion.values.*": TEXT,
    **under("contents.*", _CONTENTS),
    "description": TEXT,
    "instructions": TEXT,
    "messages.*.role": _ROLES,
    **under("messages.*", _CONTENT),
    "model": MADE,
    "nextCursor": MADE,
    **under("prompts.*", _PARTY),
    "prompts.*.arguments.*.name": LABEL,
    "prompts.*.description": TEXT,
    "protocolVersion": TEXT,
    **under("resources.*", _RESOURCE),
    **under("resourceTemplates.*", _RESOURCE),
    "resourceTemplates.*.uriTemplate": TEXT,
    "role": _ROLES,
    "roots.*.name": TEXT,
    "roots.*.uri": TEXT,
    **under("serverInfo", _PARTY),
    "stopReason": LABEL,
    "structuredContent": TEXT,
    **under("task", _TASK),
    **under("tasks.*", _TASK),
    **_TASK,
    **under("tools.*", _TOOL),
}
MESSAGE: Final[Table] = {
    "jsonrpc": word("2.0"),
    "id": LABEL,
    "method": LABEL,
    **under("params", _PARAMS),
    **under("result", _RESULT),
    "error.code": COUNT,
    "error.message": TEXT,
    "error.data": TEXT,
}
MESSAGES: Final = Fields({**MESSAGE, **under("*", MESSAGE)}, VOCABULARY)


class _MessageParser(EventParser):
    """Server-sent events without the empty ones, which only offer an id to come back with; ids never pass."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the messages that ``chunk`` completes."""
        return [event for event in super().feed(chunk) if event.data.strip()]

    def finish(self) -> list[Event]:
        """Return what is left at the end."""
        return [event for event in super().finish() if event.data.strip()]


class MessageStream(StreamShape):
    """A message an event, each whole; the stream has to answer the requests of the body that it answers."""

    api = "mcp"
    event_names = frozenset({"message"})

    def __init__(self, fields: Fields, waiting: Iterable[str | int] = ()) -> None:
        super().__init__(fields)
        self._waiting = dict.fromkeys(waiting)

    def answering(self, request: Any) -> "MessageStream":
        """Return the shape of the stream that answers ``request``."""
        return MessageStream(self.fields, requests_in(request))

    def parser(self) -> EventParser:
        """Return what cuts the stream into messages."""
        return _MessageParser()

    def ended(self, body: Body) -> Collection[Group]:
        """Note which request the message answers; no text of it goes on in another."""
        answered = body.get("id")
        if "method" not in body and isinstance(answered, str | int):
            self._waiting.pop(answered, None)
        return ()

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return an error for every request that has no answer yet."""
        about = {"status": 403, "code": "hoopguard_blocked", **final}
        return self.fail(str(final.get("message", "stopped by policy")), about)

    def fail(self, message: str, about: Mapping[str, Any]) -> list[Event]:
        """Return an error for every request that has no answer yet."""
        status, code = int(about.get("status", 502)), str(about.get("code", "hoopguard_stream_failed"))
        error = error_of(self.api, status, code, message, str(about.get("exchange", "")))
        return [event_of({**copy.deepcopy(error), "id": each}, "message") for each in self._waiting]


def requests_in(body: Any) -> list[str | int]:
    """Return the ids of the requests in a message, or a batch of them, that want an answer."""
    messages = body if isinstance(body, list) else [body]
    asked = [message.get("id") for message in messages if isinstance(message, dict) and "method" in message]
    return [each for each in asked if isinstance(each, str | int) and not isinstance(each, bool)]


def refuse(body: Any, status: int, error: dict[str, Any]) -> tuple[int, Any]:
    """Return a refusal as the answer to the requests in ``body``, which HTTP has carried well; else as HTTP's own.

    The ids are the caller's words, so that only those are repeated which could not say anything. That a session is not
    known is HTTP's to say, for clients begin a new one then.
    """
    asked = requests_in(body)
    says_nothing = all(is_label(each) if isinstance(each, str) else abs(each) <= COUNT.most for each in asked)
    if status == 404 or not 0 < len(asked) <= _MOST_REFUSED or not says_nothing:
        return status, error
    answers = [{**error, "id": each} for each in asked]
    return 200, answers if isinstance(body, list) else answers[0]


def check_message(body: Any) -> None:
    """Refuse what is no JSON-RPC 2.0.

    Raises:
        BodyError: a message is not an object, does not say its version, or is neither call nor answer.
    """
    messages = body if isinstance(body, list) else [body]
    for message in messages:
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise BodyError('every message has to be an object with "jsonrpc": "2.0"')
        if not isinstance(message.get("method"), str) and "result" not in message and "error" not in message:
            raise BodyError("a message has to have a method, a result or an error")
    if not messages:
        raise BodyError("a batch has to hold a message")


_MOST_REFUSED: Final = 64
"""A larger batch is refused as a whole: an error for each request is many times as long as the request."""

_SESSION: Final = "mcp-session-id"
_HEADERS: Final = {
    "mcp-protocol-version": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII),
    _SESSION: re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_.:~+/=-]{8,300}", re.ASCII),
}
_ANSWER_BODY: Final = JsonBody(may_be_missing=True)
STREAM: Final = MessageStream(Fields(MESSAGE, VOCABULARY))

FORMAT: Final = Format(
    name="mcp",
    method="POST",
    path="/mcp",
    api="mcp",
    request=MESSAGES,
    answer=MESSAGES,
    stream=STREAM,
    check=check_message,
    answer_body=_ANSWER_BODY,
    batches=True,
    accept="application/json, text/event-stream",
    headers=_HEADERS,
    session_header=_SESSION,
    refusal=refuse,
)
LISTEN: Final = Format(
    name="mcp/listen",
    method="GET",
    path="/mcp",
    api="mcp",
    answer=MESSAGES,
    stream=STREAM,
    answer_body=_ANSWER_BODY,
    accept="text/event-stream",
    headers=_HEADERS,
    session_header=_SESSION,
)
END: Final = Format(
    name="mcp/end",
    method="DELETE",
    path="/mcp",
    api="mcp",
    answer=MESSAGES,
    answer_body=_ANSWER_BODY,
    accept="application/json",
    headers=_HEADERS,
    session_header=_SESSION,
)
