"""SHA-256 of every file of a saved folder, written into it, so that a damaged one is noticed before it is used."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path

from lightning_untrac.tables.files import atomic_write_bytes

CHECKSUMS = "checksums.json"
"""Name of the file of checksums: a file's path in the folder to 64 hex digits."""


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files of a folder into it, and make sure that the files are on the disk.

    A README has none: what is known of a model grows, and is written into it later.

    Args:
        folder: Holds files, or the folders of an ensemble's members too.
    """
    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        if path.name != "README.md":
            sums[path.relative_to(folder).as_posix()] = file_digest(path)
    atomic_write_bytes(folder / CHECKSUMS, json.dumps(sums, indent=1).encode())


def read_checksums(folder: Path) -> dict[str, str] | None:
    """The checksums that were written with a folder; None where there are none, or where they cannot be read."""
    try:
        sums = json.loads((folder / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return None
    return sums if isinstance(sums, dict) else None


def damaged_files(folder: Path) -> list[str]:
    """What is wrong with a folder that was saved with checksums.

    Each file is read once a process: asking again costs nothing while its size and time stay.

    Args:
        folder: Any folder; one without checksums is taken as it is.

    Returns:
        Names of missing or changed files, with what is wrong.
    """
    if not (folder / CHECKSUMS).is_file():
        return []
    sums = read_checksums(folder)
    if sums is None:
        return [f"{CHECKSUMS} cannot be read"]
    found = []
    for name, expected in sums.items():
        path = folder / name
        if not name or {"", ".", ".."} & {*name.split("/")} or {":", "\\"} & {*name}:  # leads out of the folder
            found.append(f"{CHECKSUMS} names {name!r}, which is no file of this folder")
        elif not path.is_file():
            found.append(f"{name} is missing")
        elif file_digest(path) != expected:
            found.append(f"{name} is damaged: its SHA-256 is not the one that was saved with it")
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; it is read once a process while its size and time stay."""
    status = path.stat()
    return _hashed(str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=1024)
def _hashed(path: str, size: int, changed_ns: int, inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
