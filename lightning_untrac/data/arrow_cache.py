"""Arrow tables on disk that are read in place: each file ends in a checksum, and a damaged one is made again."""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_MAGIC = b"untrac01"
_DIGEST_BYTES = 32
_TRAILER_BYTES = _DIGEST_BYTES + len(_MAGIC)


TOKENS, ROWS = "tokens-", "rows-"
"""What the names of cached files begin with: token ids, and the cells of local files."""


def default_cache_folder() -> Path:
    """Inside the cache of ``datasets``."""
    from datasets import config

    return Path(config.HF_DATASETS_CACHE) / "lightning-untrac"


def clear_cache(folder: Path) -> None:
    """Delete the cached files in ``folder``, and nothing else that may lie there."""
    for prefix in (TOKENS, ROWS):
        for file in [*folder.glob(f"{prefix}*.arrow"), *folder.glob(f".{prefix}*.tmp")]:
            file.unlink()


class DamagedCacheWarning(UserWarning):
    """A file of the cache was not what had been written into it, and was made again."""


def cached_table(path: Path, make: Callable[[], Iterable[Any]], schema: Any) -> Any:
    """The table in a file, memory-mapped; made and written first where the file is missing or damaged.

    The file is an Arrow stream, then the SHA-256 of the stream, then 8 bytes that tell such a file. The checksum is
    compared at every opening, so that a flipped bit, a missing end or other content never reaches a model.

    Args:
        path: of the file; its folder is made where it is missing. Two processes may write it at once.
        make: gives the table's record batches; called only where they are needed.
        schema: of the table, a ``pyarrow.Schema``.

    Returns:
        A ``pyarrow.Table`` whose buffers lie in the file.

    Raises:
        OSError: if the file can't be written.

    Warns:
        DamagedCacheWarning: if there was a file and it was damaged.
    """
    if path.exists():
        if (table := _read(path, schema)) is not None:
            return table
        warnings.warn(f"{path} was damaged and has been made again", DamagedCacheWarning, stacklevel=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        _write(beside, make(), schema)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    table = _read(path, schema)
    if table is None:
        raise OSError(f"{path} does not hold what was written into it; the disk may be failing")
    return table


def _write(path: Path, batches: Iterable[Any], schema: Any) -> None:
    import pyarrow as pa

    with path.open("wb") as file:
        hashing = _HashingFile(file)
        with pa.PythonFile(hashing, mode="w") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        file.write(hashing.digest.digest() + _MAGIC)


class _HashingFile:
    """A file to write to that knows the checksum of what went through it: the bytes meant, not the bytes that came."""

    closed = False

    def __init__(self, file: Any) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return int(self.file.write(data))

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self.file.tell())


def _read(path: Path, schema: Any) -> Any | None:
    """The table of a whole file; None where the file isn't what :func:`_write` makes."""
    import pyarrow as pa

    if not path.is_file() or path.stat().st_size <= _TRAILER_BYTES:
        return None
    mapped = pa.memory_map(str(path))
    content = memoryview(mapped.read_buffer())
    stream, trailer = content[:-_TRAILER_BYTES], bytes(content[-_TRAILER_BYTES:])
    if trailer != hashlib.sha256(stream).digest() + _MAGIC:
        return None
    mapped.seek(0)
    table = pa.ipc.open_stream(mapped).read_all()
    return table if table.schema.equals(schema) else None
