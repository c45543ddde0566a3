"""Undo a body's content coding without ever holding more than a bound (mitmproxy's own has none)."""

import zlib
from collections.abc import Callable
from typing import Final

import brotli
import zstandard

from hoopguard.payload.strict_json import BodyError

_STEP: Final = 65_536
_ZSTD_STEP: Final = 128
"""Compressed bytes at a time: a block of 4 bytes can unpack to 128 kB (RFC 8878 §3.1.1.2)."""
_ZSTD_WINDOW: Final = 2**23
"""What a recipient of ``Content-Encoding: zstd`` has to support, and no sender may exceed (RFC 9659 §3)."""


class BodyTooLarge(BodyError):
    """A body is, or unpacks to, more than the policy's ``max_body_bytes``."""


def decode(raw: bytes, coding: str | None, limit: int) -> bytes:
    """Return ``raw`` without its ``Content-Encoding`` (RFC 9110 §8.4).

    Raises:
        BodyTooLarge: more than ``limit`` bytes would come out.
        BodyError: the coding is unknown, more than one, or the data is not in it.
    """
    name = (coding or "identity").strip().lower()
    if name not in _DECODERS:
        raise BodyError("its content encoding cannot be inspected; use gzip, br, zstd, deflate or none")
    try:
        decoded = _DECODERS[name](raw, limit)
    except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
        raise BodyError(f"the body is not {name} as its Content-Encoding says") from error
    if len(decoded) > limit:
        raise BodyTooLarge(f"the body unpacks to more than {limit} bytes")
    return decoded


def _identity(raw: bytes, _limit: int) -> bytes:
    return raw


def _zlib(raw: bytes, limit: int, window: int) -> bytes:
    decoder = zlib.decompressobj(window)
    decoded = decoder.decompress(raw, limit + 1)
    if len(decoded) <= limit and (not decoder.eof or decoder.unused_data):
        raise EOFError
    return decoded


def _gzip(raw: bytes, limit: int) -> bytes:
    return _zlib(raw, limit, zlib.MAX_WBITS | 16)


def _deflate(raw: bytes, limit: int) -> bytes:
    """Undo ``deflate``, which is the zlib format (RFC 9110 §8.4.1.2)."""
    return _zlib(raw, limit, zlib.MAX_WBITS)


def _brotli(raw: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    parts = [decoder.process(raw, output_buffer_limit=_STEP)]
    size = len(parts[0])
    while size <= limit and not decoder.is_finished():
        part = decoder.process(b"", output_buffer_limit=_STEP)
        if not part and decoder.can_accept_more_data():
            raise EOFError
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _zstd(raw: bytes, limit: int) -> bytes:
    """Undo ``zstd``: one frame, fed in pieces so small that none unpacks to more than a few megabytes."""
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    parts: list[bytes] = []
    size = position = 0
    while size <= limit and not decoder.eof:
        if position >= len(raw):
            raise EOFError
        part = decoder.decompress(raw[position : position + _ZSTD_STEP])
        position += _ZSTD_STEP
        parts.append(part)
        size += len(part)
    if size <= limit and (decoder.unused_data or position < len(raw)):
        raise EOFError
    return b"".join(parts)


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "identity": _identity,
    "": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
