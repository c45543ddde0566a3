"""Law 3, and bombs: what was parsed is what is sent, and what has two readings or no end is refused."""

import gzip
import json
import re
import zlib
from functools import cache
from pathlib import Path

import brotli
import httpx
import orjson
import pytest
import zstandard
from harness import CHAT, Site, chat, chat_bytes, refused

PLAIN = chat_bytes()
BOMB_BYTES = 300_000_000

BAD = {
    "duplicate key": b'{"model":"llama-3-8b","model":"llama-3-70b","messages":[]}',
    "nested duplicate key": PLAIN.replace(b'"content"', b'"content": "a", "content"'),
    "duplicate key, escaped": PLAIN.replace(b'"content"', b'"content": "a", "c\\u006fntent"'),
    "NaN": PLAIN[:-1] + b', "temperature": NaN}',
    "infinity": PLAIN[:-1] + b', "temperature": -Infinity}',
    "float overflow": PLAIN[:-1] + b', "temperature": 1e999}',
    "huge integer": PLAIN[:-1] + b', "seed": ' + b"9" * 5000 + b"}",
    "65-bit integer": PLAIN[:-1] + b', "seed": 36893488147419103232}',
    "BOM": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "UTF-32": PLAIN.decode().encode("utf-32-le"),
    "invalid UTF-8": PLAIN.replace(b"hello", b"hel\xfflo"),
    "overlong UTF-8": PLAIN.replace(b"hello", b"hel\xc0\xaflo"),
    "surrogate in UTF-8": PLAIN.replace(b"hello", b"\xed\xa0\x80"),
    "lone surrogate": PLAIN.replace(b"hello", b"\\ud800"),
    "lone surrogate as a key": PLAIN[:-1] + b', "\\udfff": 1}',
    "depth bomb": PLAIN[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "depth of objects": PLAIN[:-1] + b', "x": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
    "unclosed depth bomb": b"[" * 500_000,
    "trailing bytes": PLAIN + b"x",
    "two documents": PLAIN + PLAIN,
    "trailing NUL": PLAIN + b"\x00",
    "control character": PLAIN.replace(b"hello", b"hel\x01lo"),
    "comment": PLAIN + b"// comment",
    "single quotes": PLAIN.replace(b'"', b"'"),
    "trailing comma": PLAIN[:-1] + b",}",
    "empty": b"",
    "a list": b"[" + PLAIN + b"]",
    "a text": b'"hello"',
    "null": b"null",
    "no model": b'{"messages": []}',
    "model is a list": b'{"model": ["llama-3-8b"], "messages": []}',
    "truncated": PLAIN[:-3],
    "form": b"model=llama-3-8b",
}


@pytest.mark.parametrize("what", BAD)
def test_a_body_with_two_readings_is_refused(site: Site, what: str) -> None:
    """What is not one plain JSON object gets 400 in the API's shape, is recorded, and reaches nobody."""
    response = site.send(BAD[what])
    assert response.status_code == 400, response.text
    exchange = refused(response, 400, response.json()["error"]["code"])
    assert response.json()["error"]["code"] in ("hoopguard_bad_body", "hoopguard_uninspectable")
    assert site.seen == []
    assert site.outcome(exchange)["outcome"] == "rejected"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""],
)
def test_another_content_type_is_refused(site: Site, content_type: str) -> None:
    """A JSON route takes JSON that says so."""
    refused(site.send(PLAIN, content_type=content_type), 400, "hoopguard_bad_body")
    assert site.seen == []


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_taken(site: Site, content_type: str) -> None:
    """The usual content types are accepted."""
    assert site.send(PLAIN, content_type=content_type).status_code == 200


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_packed_body_is_unpacked_and_inspected(site: Site, coding: str) -> None:
    """A known coding is undone: rules see the text, and the model gets it plain."""
    assert site.send(CODINGS[coding](PLAIN), content_encoding=coding).status_code == 200
    (seen,) = site.seen
    assert (json.loads(seen.body), seen.header("content-encoding")) == (chat("hello"), "")
    refused(site.send(CODINGS[coding](chat_bytes("banana")), content_encoding=coding), 403, "hoopguard_blocked")


BAD_CODINGS = {
    "unknown": ("snappy", PLAIN),
    "two": ("gzip, gzip", gzip.compress(gzip.compress(PLAIN))),
    "not what it says": ("gzip", PLAIN),
    "cut": ("gzip", gzip.compress(PLAIN)[:-9]),
    "cut br": ("br", brotli.compress(PLAIN)[:-3]),
    "cut zstd": ("zstd", zstandard.compress(PLAIN)[:-3]),
    "more after the end": ("gzip", gzip.compress(PLAIN) + gzip.compress(b"x")),
    "more after zlib": ("deflate", zlib.compress(PLAIN) + b"x"),
    "more after br": ("br", brotli.compress(PLAIN) + b"x"),
    "more after zstd": ("zstd", zstandard.compress(PLAIN) + zstandard.compress(b"x")),
}


@pytest.mark.parametrize("what", BAD_CODINGS)
def test_a_coding_that_cannot_be_undone_is_refused(site: Site, what: str) -> None:
    """Unknown, double, broken and continued codings get 400."""
    coding, body = BAD_CODINGS[what]
    refused(site.send(body, content_encoding=coding), 400, "hoopguard_bad_body")
    assert site.seen == []


def test_the_bytes_sent_are_those_of_what_was_parsed(site: Site) -> None:
    """Whatever spelling a caller chose, the model gets the plain serialisation of the parsed value."""
    odd = (
        b'{ "model" : "llama-3-8b",\r\n\t"messages":[{"role":"user","content":"\\u00e9 \\ud83d\\ude00 \\/ \xc3\xa9"}],'
        b'"temperature":1.0, "seed": 18446744073709551615, "top_p": 0.5e0, "x": {"b":1,"a":[true,null,{}]}}'
    )
    assert site.send(odd).status_code == 200
    (seen,) = site.seen
    assert seen.body == orjson.dumps(json.loads(odd))
    assert seen.header("content-length") == str(len(seen.body))


def test_only_the_gateways_own_headers_reach_the_model(site: Site) -> None:
    """Of the caller's headers only harmless ones go on; the credential is the connection's."""
    with site.client() as client:
        headers = {"x-forwarded-for": "1.2.3.4", "cookie": "a=b", "x-api-key": "zzz", "openai-organization": "o"}
        assert client.post(CHAT, json=chat("hello"), headers=headers).status_code == 200
    (seen,) = site.seen
    names = {name for name, _ in seen.headers}
    assert names <= {"host", "accept", "accept-encoding", "authorization", "content-type", "content-length"} | {
        "user-agent",
        "hoopguard-exchange",
    }
    assert seen.header("host") == f"127.0.0.1:{site.model.port}"


# ── bombs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def bomb(coding: str) -> bytes:
    """Return a small body that unpacks to 300 MB of JSON."""
    block = b"a" * 10_000_000
    blocks = [b'{"model":"llama-3-8b","x":"', *[block] * (BOMB_BYTES // len(block)), b'"}']
    if coding == "br":
        packer = brotli.Compressor(quality=2)
        return b"".join([*(packer.process(each) for each in blocks), packer.finish()])
    if coding == "zstd":
        stream = zstandard.ZstdCompressor(level=1).compressobj()
        return b"".join([*(stream.compress(each) for each in blocks), stream.flush()])
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    return b"".join([*(deflate.compress(each) for each in blocks), deflate.flush()])


def peak_bytes(site: Site) -> int:
    """Return the most memory that the gateway ever had."""
    status = Path(f"/proc/{site.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_refused_without_the_memory(site: Site, coding: str) -> None:
    """300 kB that unpack to 300 MB get 413, and the gateway's memory does not follow."""
    body = bomb(coding)
    assert len(body) < 400_000
    assert site.ask().status_code == 200
    before = peak_bytes(site)
    refused(site.send(body, content_encoding=coding), 413, "hoopguard_body_too_large")
    assert peak_bytes(site) - before < 50_000_000
    assert len(site.seen) == 1


def test_a_bomb_of_the_models_is_refused_without_the_memory(site: Site) -> None:
    """The model's own 300 MB in 300 kB get 502, and the gateway's memory does not follow."""
    assert site.ask().status_code == 200
    before = peak_bytes(site)
    site.model.behave("gzip_bomb")
    response = site.ask()
    assert response.status_code == 502, response.text
    assert peak_bytes(site) - before < 50_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_a_huge_answer_is_bounded(site: Site, stream: bool) -> None:
    """An answer beyond ``max_body_bytes`` is refused, or its stream ended; the memory stays bounded."""
    assert site.ask().status_code == 200
    before = peak_bytes(site)
    site.model.behave("huge", size_bytes=40_000_000)
    response = site.ask(stream=stream)
    assert len(response.content) < 3_000_000
    if stream:
        assert "hoopguard_stream_failed" in response.text
    else:
        refused(response, 502, "hoopguard_answer_too_large")
    assert peak_bytes(site) - before < 100_000_000


def test_the_listed_models_are_read(site: Site) -> None:
    """A route without a body takes none, and answers as the model does."""
    with site.client() as client:
        listed: httpx.Response = client.get("/v1/models")
        assert [each["id"] for each in listed.json()["data"]] == list(site.model.models)
        refused(client.request("GET", "/v1/models", content=b"{}"), 400, "hoopguard_bad_body")
