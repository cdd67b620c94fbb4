"""Tables on disk that are whole or not there: written beside, fsynced, renamed, and checked when they are read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lightning_untrac.tables.schema import ResultsError

if TYPE_CHECKING:
    import pyarrow as pa

CHECKSUM_KEY: Final = b"untrac.sha256"

_MADE_BY: Final = {"comparison.parquet": "untrac compare"}
"""Tables that one command makes anew from what else is there."""


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it takes the place of ``path`` if the block ends well.

    Args:
        path: Where the file is to appear. Missing folders are made.

    Yields:
        A path in the same folder (its name starts with a dot and ends in ``.tmp``). If the block raises, the file is
        removed and ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield beside
        _fsync(beside, os.O_RDWR)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot fsync a folder; the rename is atomic all the same
        _fsync(path.parent, os.O_RDONLY)


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file whole or not at all.

    Args:
        path: Where the file is to appear.
        data: Its content.

    Returns:
        The path.
    """
    with atomic_path(path) as beside:
        beside.write_bytes(data)
    return Path(path)


def table_checksum(table: pa.Table) -> str:
    """SHA-256 of what a table says: names, types, values and nulls; not of how it lies in memory.

    Chunks, slices and the garbage under nulls make no difference, nor does the version of pyarrow.

    Args:
        table: Any table.

    Returns:
        64 hex digits.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256(f"{table.num_rows} rows".encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = "nested" if pa.types.is_nested(field.type) else field.type  # parquet renames the fields of lists
        digest.update(f"\n{field.name!r} {kind}\n".encode())
        digest.update(pc.is_null(column).cast(pa.uint8()).to_numpy().tobytes())
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            filled = pc.fill_null(column, "")
            digest.update(pc.binary_length(filled).cast(pa.int64()).to_numpy().tobytes())
            for start in range(0, table.num_rows, 65_536):  # not all strings at once: there may be millions
                digest.update("".join(filled.slice(start, 65_536).to_pylist()).encode())
        elif pa.types.is_boolean(field.type):
            digest.update(pc.fill_null(column, False).cast(pa.uint8()).to_numpy().tobytes())
        elif pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            digest.update(pc.fill_null(column, pa.scalar(0, field.type)).to_numpy().tobytes())
        elif pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            digest.update(pc.fill_null(pc.list_value_length(column), 0).to_numpy().tobytes())
            digest.update(pc.list_flatten(column).to_numpy().tobytes())
        else:
            digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()


def write_table(path: str | os.PathLike[str], table: pa.Table, previous: Path | None = None) -> Path:
    """Write a table as parquet, whole or not at all, with a checksum of its content in the schema's metadata.

    Args:
        path: Where the file is to appear.
        table: What to write.
        previous: Where to keep the file that is replaced; None to keep none.

    Returns:
        The path.
    """
    import pyarrow.parquet as pq

    metadata = {**(table.schema.metadata or {}), CHECKSUM_KEY: table_checksum(table).encode()}
    with atomic_path(path) as beside:
        pq.write_table(table.replace_schema_metadata(metadata), beside)
        if previous is not None and Path(path).exists():
            keep_previous(Path(path), previous)
    return Path(path)


def keep_previous(path: Path, previous: Path) -> None:
    """Give a file that is about to be replaced a second name; a hard link costs nothing."""
    try:
        beside = previous.with_name(f"{previous.name}.{uuid.uuid4().hex[:12]}.tmp")
        os.link(path, beside)
        os.replace(beside, previous)
        beside.unlink(missing_ok=True)  # where both were one file already, `replace` leaves the second name
    except OSError:  # a file system without hard links
        with atomic_path(previous) as beside:
            shutil.copyfile(path, beside)


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a table that :func:`write_table` wrote, and check that it says what was written.

    Args:
        path: A parquet file.

    Returns:
        The table, without the checksum in its metadata.

    Raises:
        ResultsError: If the file is missing, cannot be read, or its checksum is missing or wrong.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise ResultsError(f"There is no file {path}. Run the step that writes it, or give the folder of another run.")
    advice = "Put back a copy of it, or delete it and run the same command again: what it held is computed anew."
    if path.name in _MADE_BY:
        advice = f"Put back a copy of it, or delete it and run `{_MADE_BY[path.name]}` again, which makes it anew."
    try:
        with pa.OSFile(str(path)) as source:
            table = pq.read_table(source)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ResultsError(
            f"{path} cannot be read as parquet; it is damaged or cut short ({error}). {advice}"
        ) from error
    metadata = dict(table.schema.metadata or {})
    expected = metadata.pop(CHECKSUM_KEY, None)
    if expected is None:
        raise ResultsError(f"{path} was not written by untrac: it carries no checksum. {advice}")
    table = table.replace_schema_metadata(metadata or None)
    if table_checksum(table) != expected.decode():
        raise ResultsError(f"{path} is damaged: its content does not match its checksum. {advice}")
    return table


def equal_tables(a: pa.Table, b: pa.Table, ignore: Sequence[str] = ("seconds",)) -> bool:
    """Whether two tables say the same to the last bit.

    Args:
        a: A table.
        b: Another.
        ignore: Columns that may differ. Timings are the only ones that two equal runs may disagree on.

    Returns:
        Whether names, types, order of rows and values (NaN equals NaN) are the same.
    """
    ignored = set(ignore)
    left, right = (t.drop_columns([name for name in t.column_names if name in ignored]) for t in (a, b))
    return table_checksum(left) == table_checksum(right)


def check_writable(folder: str | os.PathLike[str], min_free_mb: float = 50.0) -> Path:
    """Fail now rather than after hours: make the folder, write a small file there, and look at the free space.

    Args:
        folder: Where results are to go.
        min_free_mb: Free space to ask for, in MB.

    Returns:
        The folder.

    Raises:
        ResultsError: If the folder cannot be made or written to, or too little space is free.
    """
    folder = Path(folder)
    probe = folder / f".probe.{uuid.uuid4().hex[:12]}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"untrac")
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free / 1e6
    except OSError as error:
        raise ResultsError(
            f"Results cannot be written to {folder} ({error}). Give another folder with --output."
        ) from error
    if free < min_free_mb:
        raise ResultsError(
            f"Only {free:.0f} MB are free where {folder} lies, and at least {min_free_mb:.0f} MB are needed. "
            "Free some space or give another folder with --output."
        )
    return folder
