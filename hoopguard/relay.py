"""A streamed answer on its way from the model to the caller."""

import asyncio
import logging

from hoopguard.exchange import Exchange
from hoopguard.messages import unquoted
from hoopguard.payload.streaming import LONG_PIECE, AnswerStream

_log = logging.getLogger(__name__)


class Relay:
    """Moves a streamed answer from the model to the caller, and ends it at the first doubt.

    A stream callback that raises would lose that chunk and let the rest out, so this one never does.
    """

    def __init__(self, exchange: Exchange, stream: AnswerStream) -> None:
        self.over = False
        self._exchange = exchange
        self._stream = stream
        self._size = 0
        self._waits = b""
        self._inspected: list[bytes] | None = None
        self._limit: int = exchange.policy.policy.gateway.max_body_bytes

    @classmethod
    def begin(cls, exchange: Exchange) -> "Relay":
        """Return the relay of an exchange whose stations have said what a stream of it passes."""
        shape = exchange.format.stream.answering(exchange.body)
        stages, unmasking = exchange.stages, exchange.unmasking
        return cls(exchange, AnswerStream(shape, stages, exchange.drop_repeats, unmasking, exchange.unseen))

    def __call__(self, chunk: bytes) -> list[bytes]:
        """Take a chunk of the model's (empty at the end); return the chunks that the caller may have."""
        if self.over:
            return []
        try:
            out = self._stream.feed(chunk) if chunk else self._stream.finish()
            self.over = self._stream.ended
        except BaseException:  # noqa: BLE001 - whatever it is, an exit too, the stream must end here
            _log.exception("%s: the answer's stream was ended, it could not be inspected", self._exchange.id)
            out = self._fail("The answer could not be inspected; the stream ends here.")
        if self._size + len(out) > self._limit:
            out = self._fail("The answer is longer than max_body_bytes allows; the stream ends here.")
        return self._kept(out)

    def is_long(self, chunk: bytes) -> bool:
        """Tell whether others would have to wait while a chunk, and what it completes, is inspected."""
        return not self.over and len(chunk) + self._stream.waiting > LONG_PIECE

    def wait(self, chunk: bytes) -> None:
        """Take a chunk that is to be inspected while others go on."""
        self._waits, self._inspected = chunk, None

    async def inspect(self) -> None:
        """Inspect the chunk that waits, in a thread."""
        self._inspected = await asyncio.to_thread(self, self._waits)

    def take(self) -> list[bytes]:
        """Return what the caller may have of the chunk that was inspected; if it was not, the stream ends."""
        inspected, self._waits, self._inspected = self._inspected, b"", None
        return inspected if inspected is not None else [self.cut("the answer could not be inspected")]

    def cut(self, reason: str) -> bytes:
        """End the stream after the model broke it off; return the last bytes for the caller."""
        out = b"" if self.over else self._fail(f"The model broke off its answer: {unquoted(reason)}")
        return b"".join(self._kept(out))

    def _fail(self, message: str) -> bytes:
        self.over = True
        self._exchange.finish("failed", message)
        return self._stream.fail(502, "hoopguard_stream_failed", message, self._exchange.id)

    def _kept(self, out: bytes) -> list[bytes]:
        """Count what the caller gets, and keep it for the record if it is kept."""
        self._size += len(out)
        recorded = self._stream.take_recorded(out)
        if recorded and self._exchange.sent is not None:
            self._exchange.sent += recorded
        return [out] if out else []
