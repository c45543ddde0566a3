"""The file layer: every byte of the record goes through these functions, and so do the tests' faults."""

import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def make_folder(path: Path) -> bool:
    """Make a folder that only its owner may enter; return whether it is new."""
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise
        return False
    return True


def create(path: Path) -> int:
    """Create a file that must not exist yet, and return its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def reopen(path: Path) -> int:
    """Open a file for reading and writing; a symbolic link is refused."""
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def write_at(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of ``content`` at ``offset``; a short write is continued.

    Raises:
        OSError: some of the bytes may be in the file already.
    """
    left = memoryview(content)
    while left:
        count = os.pwrite(descriptor, left, offset)
        left, offset = left[count:], offset + count


def truncate(descriptor: int, length: int) -> None:
    """Cut a file to ``length`` bytes."""
    os.ftruncate(descriptor, length)


def sync(descriptor: int) -> None:
    """Return once the file's bytes are on the disk."""
    os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Return once the folder's names are on the disk; a new file survives a power cut only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
