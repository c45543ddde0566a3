"""OpenAI's audio transcription: a form with a file in, a text out, whole or as events of which the last repeats it."""

from base64 import b64encode
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any, Final

from fake import Fake, Json, Route, event_stream
from speech import pieces, said

from hoopguard.demo.connection import Reply, Request, json_reply

USAGE: Final = {
    "type": "tokens",
    "input_tokens": 31,
    "input_token_details": {"audio_tokens": 24, "text_tokens": 7},
    "output_tokens": 64,
    "total_tokens": 95,
}


class FakeAudio(Fake):
    """Hears personal data in whatever it is sent."""

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the one route."""
        return {("POST", "/v1/audio/transcriptions"): _heard}

    def read(self, request: Request) -> Json:
        """Return the form's fields; a file as its name's ending, its type and its bytes."""
        head = f"content-type: {request.header('content-type')}\r\n\r\n".encode()
        form = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + request.body)
        return {str(part.get_param("name", header="content-disposition")): _field(part) for part in form.iter_parts()}


def _field(part: Any) -> Any:
    content: bytes = part.get_payload(decode=True)
    if part.get_filename() is None:
        return content.decode()
    ending = Path(part.get_filename()).suffix
    return {"ending": ending, "type": part.get_content_type(), "bytes": b64encode(content).decode()}


def _heard(asked: Json) -> Reply:
    if asked.get("stream", "").lower() == "true":
        return event_stream(_events())
    return json_reply({"text": said("transcript"), "usage": USAGE})


def _events() -> Iterator[Json]:
    for piece in pieces(said("transcript")):
        yield {"type": "transcript.text.delta", "delta": piece}
    yield {"type": "transcript.text.done", "text": said("transcript"), "usage": USAGE}
