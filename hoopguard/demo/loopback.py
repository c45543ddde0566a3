"""A small HTTP/1.1 server for the demo's own processes, bound to 127.0.0.1 and nothing else."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hoopguard.demo.connection import Connection, RawReply, Reply, Request

LOOPBACK: Final = "127.0.0.1"


class LoopbackServer(ABC):
    """A server in a thread of its own (``start``/``stop``, or ``with``), or as a whole process (``run``)."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._connections: set[Connection] = set()

    @abstractmethod
    async def handle(self, request: Request) -> Reply | RawReply:
        """Answer one request."""

    @property
    def url(self) -> str:
        """Return where the server listens, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        """Listen, in a thread; a server that was stopped starts again on the port that it had.

        Raises:
            OSError: the port is taken.
        """
        started: list[OSError | None] = []
        ready = threading.Event()

        def tell(error: OSError | None) -> None:
            started.append(error)
            ready.set()

        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(tell)), daemon=True)
        self._thread.start()
        ready.wait()
        if started[0] is not None:
            self._thread.join()
            raise started[0]
        return self

    def stop(self) -> None:
        """Cut all connections and end the thread; harmless if it has ended."""
        if self._thread is None or self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, port_file: Path | None = None) -> int:
        """Serve until SIGTERM or SIGINT; say where on stdout and, as a number, in ``port_file``."""
        failed: list[OSError] = []

        def tell(error: OSError | None) -> None:
            if error is not None:
                failed.append(error)
                return
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
            if port_file is not None:
                _write_whole(port_file, f"{self.port}\n")
            print(f"listening on {self.url}", flush=True)

        asyncio.run(self._serve(tell))
        if failed:
            reason = os.strerror(failed[0].errno or 0)
            print(f"error: cannot listen on {LOOPBACK}:{self.port}: {reason}", file=sys.stderr)
        return 2 if failed else 0

    async def _serve(self, tell: Callable[[OSError | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await self._loop.create_server(
                lambda: Connection(self.handle, self._connections), LOOPBACK, self.port, ssl=self._tls, backlog=1024
            )
        except OSError as error:
            tell(error)
            return
        self.port = server.sockets[0].getsockname()[1]
        tell(None)
        await self._stopping.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.cut()
        await server.wait_closed()


def _write_whole(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.tmp")
    draft.write_text(text)
    draft.replace(file)
