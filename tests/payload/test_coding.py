"""Content codings, undone within a bound."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload.coding import BodyTooLarge, decode
from hoopguard.payload.strict_json import BodyError

BODY = json.dumps({"model": "m", "prompt": "naïve " * 50}).encode()


def _zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(raw)


def _brotli(raw: bytes) -> bytes:
    packed: bytes = brotli.compress(raw, quality=1)
    return packed


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": _brotli,
    "zstd": _zstd,
}
CODINGS = sorted(ENCODERS)


@given(st.binary(max_size=5000), st.sampled_from(CODINGS), st.integers(0, 3))
def test_what_was_encoded_comes_out_equal(raw: bytes, coding: str, slack: int) -> None:
    """Every coding is undone exactly, also when the body is as large as the limit."""
    assert decode(ENCODERS[coding](raw), coding, len(raw) + slack) == raw


@given(st.binary(min_size=1, max_size=5000), st.sampled_from(CODINGS))
def test_one_byte_over_the_limit_is_too_large(raw: bytes, coding: str) -> None:
    """The limit is on what comes out, and exact."""
    with pytest.raises(BodyTooLarge):
        decode(ENCODERS[coding](raw), coding, len(raw) - 1)


@given(st.binary(max_size=400), st.sampled_from([*CODINGS, "x-gzip"]))
def test_any_bytes_are_decoded_or_refused_and_never_crash(raw: bytes, coding: str) -> None:
    """Noise in any coding is a BodyError, whatever library is asked."""
    try:
        decode(raw, coding, 10_000)
    except BodyError:
        return


@given(st.data(), st.sampled_from(CODINGS))
def test_a_body_that_was_cut_short_is_refused(data: st.DataObject, coding: str) -> None:
    """Wherever the end is missing, nothing of the rest is taken for the whole."""
    packed = ENCODERS[coding](BODY)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(BodyError):
        decode(packed[:cut], coding, 10_000)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("tail", [b"\0", b"garbage", "again"], ids=str)
def test_what_follows_the_body_is_refused(coding: str, tail: bytes | str) -> None:
    """Trailing bytes, or a second member, could mean something to another reader."""
    packed = ENCODERS[coding](BODY)
    with pytest.raises(BodyError):
        decode(packed + (packed if isinstance(tail, str) else tail), coding, 100_000)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_without_being_unpacked(coding: str) -> None:
    """300 MB of zeros never get far past the limit in memory."""
    bomb = ENCODERS[coding](bytes(300_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            decode(bomb, coding, 1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000


def test_a_zstd_frame_that_wants_a_huge_window_is_refused() -> None:
    """RFC 9659 allows no window beyond 8 MB; 128 MB a request would be the caller's to spend."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(BODY) + packer.flush()
    with pytest.raises(BodyError):
        decode(packed, "zstd", 10_000)


@pytest.mark.parametrize(
    "coding", ["compress", "gzip, gzip", "gzip,br", "GZIP;q=1", "aws-chunked", "exi", "\x00", "x" * 999]
)
def test_an_unknown_or_stacked_coding_is_refused(coding: str) -> None:
    """What cannot be undone with certainty is not guessed, and the message stays short."""
    with pytest.raises(BodyError, match="cannot be inspected") as caught:
        decode(BODY, coding, 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("coding", [None, "", " ", "identity", "Identity"])
def test_a_body_without_coding_stays_as_it_is_up_to_the_limit(coding: str | None) -> None:
    """No coding is a coding too, and is bounded as well."""
    assert decode(BODY, coding, len(BODY)) == BODY
    with pytest.raises(BodyTooLarge):
        decode(BODY, coding, len(BODY) - 1)


def test_names_of_codings_are_read_in_any_case() -> None:
    """RFC 9110 §8.4.1: content codings are case-insensitive."""
    assert decode(gzip.compress(BODY), " GZip ", 10_000) == BODY


def test_raw_deflate_without_its_zlib_header_is_refused() -> None:
    """RFC 9110 §8.4.1.2: deflate is the zlib format; the other reading is not tried."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    with pytest.raises(BodyError):
        decode(packer.compress(BODY) + packer.flush(), "deflate", 10_000)
