"""Embeddings as one string: base64 of 32-bit floats, as OpenAI's own clients ask for them."""

import base64
import binascii
import math
import re
import struct
from typing import Final

_MOST: Final = 9_999.0
_READABLE: Final = re.compile(rb"[ -~]{6,}")


def readable_in(vector: str) -> list[str] | None:
    """Return what could be read in the bytes of a base64 vector; ``None`` if the string is no such vector.

    A vector is a whole number of finite floats (IEEE 754, little-endian) of a size that embeddings have. Bytes that
    are text would pass for floats now and then, so every run of printable ASCII in them is there to be inspected.
    """
    try:
        raw = base64.b64decode(vector, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw or len(raw) % 4 or base64.b64encode(raw).decode() != vector:
        return None
    values = struct.unpack(f"<{len(raw) // 4}f", raw)
    if not all(math.isfinite(value) and abs(value) <= _MOST for value in values):
        return None
    return [run.decode() for run in _READABLE.findall(raw)]
