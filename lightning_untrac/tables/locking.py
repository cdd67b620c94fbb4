"""One process at a time reads, changes and writes back what several may share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

LOCK = ".untrac.lock"
"""Name of the file that is locked, in the folder itself."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes, and other threads, out of a folder's tables and records for the length of the block.

    The same thread may lock again inside. Where a file system has no locks, or the folder can't be written to, the
    block runs without: one writer is the common case there, or none.

    Args:
        folder: made if it is missing.
    """
    from filelock import FileLock

    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    # One object for each path and thread, so that a block inside another does not wait for it.
    lock = FileLock(folder.resolve() / LOCK, is_singleton=True)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
