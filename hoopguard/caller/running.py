"""Running a command with a forwarder beside it.

The command takes this process's place (``execve``): its signals, terminal, job control and exit code are its own, with
nobody in between who could get them wrong. The forwarder is a process of its own, in its own session and no child of
the command's; it ends when the command does, however that ends, and removes the CA bundles.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn

Serve = Callable[[], Coroutine[Any, Any, None]]

EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127
"""What a shell says of such commands (POSIX.1-2024, XCU 2.8.2)."""

_LOOK_S: Final = 0.5
_STDERR: Final = 2


def listen() -> socket.socket:
    """Listen on a loopback port that the system chooses; who connects before anybody serves waits."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def start_beside(serve: Serve, listening: socket.socket, end: Callable[[], None]) -> None:
    """Start a process that serves while *this* one lives, whatever program it becomes; then it calls ``end``.

    Raises:
        OSError: it cannot be started.
    """
    watched, watch = os.getpid(), _open_watch()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError("the forwarder cannot be started")
        return
    status = 1
    try:
        os.setsid()
        # Its parent gone, it is nobody's child: a command that waits for all of its own must not find a stranger.
        if os.fork() == 0:
            _leave_everything(listening.fileno(), watch)
            try:
                asyncio.run(_serve_while(watched, watch, serve))
            finally:
                end()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(status)  # nothing of the command line's own end is this process's business


def become(command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Become the command.

    Raises:
        OSError: there is no such command, or it cannot be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two, and a program would inherit that: a writer into a closed pipe would never end.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], list(command), dict(env))  # noqa: S606 - running what the caller names is the purpose


def _open_watch() -> int | None:
    """Return a descriptor that becomes readable when this process ends; None where there is no such thing."""
    return os.pidfd_open(os.getpid()) if sys.platform == "linux" else None


def _leave_everything(*kept: int | None) -> None:
    """Let go of the command's input, output, folder and files; only its stderr stays, for complaints."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    low = _STDERR + 1
    for number in sorted(number for number in kept if number is not None):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")


async def _serve_while(watched: int, watch: int | None, serve: Serve) -> None:
    """Serve until the watched process ends, or this one is told to."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    if watch is not None:
        loop.add_reader(watch, over.set)
    waiting = asyncio.create_task(_over(over, None if watch is not None else watched))
    serving = asyncio.create_task(serve())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, waiting):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _over(over: asyncio.Event, watched: int | None) -> None:
    while watched is not None and not over.is_set():
        try:
            os.kill(watched, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(_LOOK_S)
    await over.wait()
