"""How the gate reads mitmproxy's messages, and writes what was inspected in their place."""

import asyncio
import re
from typing import Any, Final

from mitmproxy import http

from hoopguard.exchange import Exchange, Refused
from hoopguard.payload import coding, strict_json
from hoopguard.payload.bodies import NOTHING, Written, parse_aside
from hoopguard.payload.channels import Channel
from hoopguard.payload.errors import error_headers, error_of
from hoopguard.payload.fields import ASIDE_BYTES, read_aside, replace
from hoopguard.payload.formats import api_of

_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)
_FRAMING: Final = frozenset({b"content-encoding", b"content-length", b"content-type", b"transfer-encoding"})
_JSON: Final = "application/json"
_SECONDS: Final = re.compile(rb"[0-9]{1,6}")


def unquoted(message: str) -> str:
    """Return a message of mitmproxy's without what it quotes: bytes of callers and models, which no record may have."""
    return _QUOTED.sub("…", message)


def settle_form(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Decide by the answer's head how it is read: as a stream of events, or whole as JSON.

    Raises:
        Refused: neither; nobody could inspect it.
    """
    response = flow.response
    if response is None or response.status_code < 200:
        raise _bad_answer("The model changed the protocol, which is not allowed here.")
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    _plain_head(response, media.encode("utf-8", "surrogateescape"))
    shape = exchange.format.stream
    if media == _JSON or (not media and exchange.format.answer_body.may_be_missing):
        return
    if shape is not None and media != shape.media:
        said = f"The model answered {response.status_code} with something that is not JSON"
        raise _bad_answer(f"{said}, which cannot be inspected.")
    coded = response.headers.get("content-encoding", "identity").lower() != "identity"
    if shape is None or coded or response.status_code != 200:
        raise _bad_answer("The model answered with a stream that cannot be inspected on this route.")
    exchange.facts["streamed"] = True
    response.headers.pop("content-length", None)
    if flow.request.http_version == "HTTP/1.1":
        response.headers["transfer-encoding"] = "chunked"


def _plain_head(response: http.Response, media: bytes) -> None:
    """Leave nothing in an answer's head that a model could speak through."""
    response.reason = ""
    kept = [field for field in response.headers.fields if _says_only_form(field)]
    response.headers.fields = (*kept, (b"content-type", media)) if media else tuple(kept)


def _says_only_form(field: tuple[bytes, bytes]) -> bool:
    name = field[0].lower()
    return name != b"content-type" and (name != b"retry-after" or _SECONDS.fullmatch(field[1]) is not None)


async def read_answer(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Parse a whole answer, and read what it says.

    Raises:
        Refused: it cannot be read; it must not go out.
    """
    try:
        raw = _answer_body(flow, exchange)
        exchange.answer = await parse_aside(exchange.format.answer_body, raw, "")
        if not isinstance(exchange.answer, dict | list):
            raise strict_json.BodyError("it is neither an object nor a list")
        exchange.reading = await read_aside(exchange.answer, exchange.format.answer, len(raw))
        for node, key in exchange.reading.repeats if exchange.drop_repeats else ():
            node[key] = None
    except strict_json.BodyError as error:
        raise _bad_answer(f"The model's answer cannot be inspected: {error}.") from error


def _answer_body(flow: http.HTTPFlow, exchange: Exchange) -> bytes:
    if flow.response is None:
        raise strict_json.BodyError("there is none")
    limit = exchange.policy.policy.gateway.max_body_bytes
    return coding.decode(flow.response.raw_content or b"", flow.response.headers.pop("content-encoding", None), limit)


def _bad_answer(message: str) -> Refused:
    return Refused(502, "hoopguard_bad_answer", message, "failed")


def write_request(request: http.Request, exchange: Exchange) -> None:
    """Give the request the body that was inspected."""
    request.trailers = None
    says_nothing = exchange.body is None or exchange.format.live
    _put_body(request, NOTHING if says_nothing else exchange.format.body.write(exchange.body))
    if exchange.format.live:
        del request.headers["content-length"]  # servers take a handshake that has one for something else


async def write_answer(response: http.Response, exchange: Exchange) -> None:
    """Give the answer the body that was inspected, with the caller's own values; the record keeps those hidden."""
    response.trailers = None
    body = exchange.format.answer_body.write(exchange.answer)
    if exchange.unmasking is not None:
        exchange.sent = bytearray(body.content)
        is_small = len(body.content) <= ASIDE_BYTES
        shown = _unmasked(exchange) if is_small else await asyncio.to_thread(_unmasked, exchange)
        body = exchange.format.answer_body.write(shown)
    _put_body(response, body)


def _unmasked(exchange: Exchange) -> Any:
    """Return the answer with the caller's own values where their placeholders stand."""
    stage, shown = exchange.unmasking, []
    for _, _, text in exchange.reading.texts:
        channel = Channel((None, *text.path), text.kind, text.path)
        shown.append(stage.feed(channel, text.value) + stage.finish(channel))
    replace(exchange.reading, shown)
    return exchange.answer


def _put_body(message: http.Message, body: Written) -> None:
    """Give a message a body; it has no coding, and is as long, and of the type, as it says."""
    message.raw_content = body.content
    unframed = [field for field in message.headers.fields if field[0].lower() not in _FRAMING]
    media = [(b"content-type", body.content_type.encode())] if body.content else []
    message.headers.fields = (*unframed, *media, (b"content-length", b"%d" % len(body.content)))


def write_refusal(flow: http.HTTPFlow, exchange: Exchange, refused: Refused) -> None:
    """Put the refusal in place of whatever answer there is; mitmproxy may have put the model's there."""
    exchange.sent = None
    status, api = refused.status, _api(flow, exchange)
    body: Any = error_of(api, status, refused.code, refused.message, exchange.id, **refused.more)
    if exchange.format is not None and exchange.format.refusal is not None:
        # The ids are the caller's words, which may be what is refused: they are told them, the record is not.
        exchange.sent = bytearray(strict_json.dump(body))
        status, body = exchange.format.refusal(exchange.body, status, body)
    exchange.facts["status"] = status
    headers = error_headers(refused.status, exchange.id)
    # HEAD has no body (RFC 9110 §9.3.2); one would be read as the next answer.
    content = b"" if flow.request.method == "HEAD" else strict_json.dump(body)
    flow.response = http.Response.make(status, content, headers)


def _api(flow: http.HTTPFlow, exchange: Exchange) -> str:
    """Return whose error objects the caller understands; where no route is known yet, the request's head tells."""
    if exchange.format is not None:
        return str(exchange.format.api)
    if "anthropic-version" in flow.request.headers:
        return "anthropic"
    return api_of(flow.request.method, flow.request.path) or "openai"
