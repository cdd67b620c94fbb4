"""Tables on disk that are whole or not there: written beside, fsynced, renamed, and checked when they are read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lightning_untrac.tables.schema import ResultsError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

COLUMNS: Final = b"untrac.columns"
"""Metadata of a table: its columns once more, because no page's checksum covers the file's own description of them."""

_BEFORE_COLUMNS: Final = b"untrac.sha256"
"""What earlier tables carry instead."""

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


def write_table(path: str | os.PathLike[str], table: pa.Table) -> Path:
    """Write a table as parquet, whole or not at all, with a checksum in every page.

    Args:
        path: Where the file is to appear.
        table: What to write.

    Returns:
        The path.
    """
    return write_tables(path, table.schema, [table])


def write_tables(
    path: str | os.PathLike[str],
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    metadata: Mapping[bytes, bytes] | None = None,
) -> Path:
    """:func:`write_table` for a table that comes in parts, of which one is in memory at a time.

    Args:
        path: Where the file is to appear.
        schema: Of all parts.
        tables: Its rows, in order.
        metadata: What else the file is to say of itself.

    Returns:
        The path.
    """
    import pyarrow.parquet as pq

    said = {**(schema.metadata or {}), COLUMNS: _described(schema), **(metadata or {})}
    with (
        atomic_path(path) as beside,
        # Of all codecs: no single flipped bit makes another valid one of its number, which no checksum covers.
        pq.ParquetWriter(beside, schema.with_metadata(said), compression="zstd", write_page_checksum=True) as writer,
    ):
        for table in tables:
            writer.write_table(table)
    return Path(path)


def _described(schema: pa.Schema) -> bytes:
    return json.dumps([[field.name, _kind(field.type), field.nullable] for field in schema]).encode()


def _kind(of: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_list(of):  # parquet renames the fields of lists
        return f"list of {_kind(of.value_type)}"
    return "nested" if pa.types.is_nested(of) else str(of)


def _is_as_written(file: pq.ParquetFile) -> bool:
    """Whether a file's description of itself says what :func:`write_tables` has written: no checksum covers it."""
    about, columns = file.metadata, _described(file.schema_arrow)
    rows = sum(about.row_group(number).num_rows for number in range(about.num_row_groups))
    return bool(about.metadata.get(COLUMNS, columns) == columns and rows == about.num_rows)


@contextlib.contextmanager
def open_table(path: str | os.PathLike[str]) -> Iterator[pq.ParquetFile]:
    """Open a table that :func:`write_table` wrote, to read it inside of the block; each page's checksum is verified.

    Args:
        path: A parquet file.

    Yields:
        The opened file.

    Raises:
        ResultsError: If the file is missing or damaged, also where that is found inside of the block.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise ResultsError(f"There is no file {path}. Run the stage that writes it, or give the folder of another run.")
    advice = "Put back a copy of it, or delete it and run the same command again: what it held is computed anew."
    if path.name in _MADE_BY:
        advice = f"Put back a copy of it, or delete it and run `{_MADE_BY[path.name]}` again, which makes it anew."
    try:
        with pa.OSFile(str(path)) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            said = file.metadata.metadata or {}
            if COLUMNS not in said and _BEFORE_COLUMNS not in said:
                raise ResultsError(f"{path} was not written by untrac: it does not say which columns it has. {advice}")
            if not _is_as_written(file):
                raise ValueError("its description of itself is not the one that was written")
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ResultsError(
            f"{path} cannot be read as parquet; it is damaged or cut short ({error}). {advice}"
        ) from error


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a table that :func:`write_table` wrote, and check that it says what was written.

    Args:
        path: A parquet file.

    Returns:
        The table, without what :func:`write_table` has put into its metadata.

    Raises:
        ResultsError: If the file is missing, or cannot be read, or a checksum is wrong.
    """
    with open_table(path) as file:
        table = file.read()
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if not key.startswith(b"untrac.")}
    return table.replace_schema_metadata(kept or None)


def check_table(path: str | os.PathLike[str]) -> None:
    """Read a table once, one part at a time, without keeping it.

    Args:
        path: A parquet file.

    Raises:
        ResultsError: As :func:`read_table` does.
    """
    with open_table(path) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group)


def conform(table: pa.Table, schema: pa.Schema, name: object) -> pa.Table:
    """Give a table exactly the columns of a schema.

    Args:
        table: A table; columns that the schema lacks are dropped, and nullable ones that the table lacks are null.
        schema: What is wanted.
        name: What to call the table in a message.

    Returns:
        The table with the schema's columns, in its order.

    Raises:
        ResultsError: If a column is missing or has a type that cannot be converted.
    """
    import pyarrow as pa

    missing = [f.name for f in schema if f.name not in table.column_names and not f.nullable]
    if missing:
        raise ResultsError(f"{name} lacks the columns {', '.join(missing)}; it was written by something else.")
    columns = [table[f.name] if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema]
    try:
        return pa.Table.from_arrays(columns, names=schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise ResultsError(f"{name} does not have the columns of this version ({error}).") from error


def equal_tables(a: pa.Table, b: pa.Table, ignore: Sequence[str] = ("seconds",)) -> bool:
    """Whether two tables say the same to the last bit.

    Args:
        a: A table.
        b: Another.
        ignore: Columns that may differ. Timings are the only ones that two equal runs may disagree on.

    Returns:
        Whether names, types, order of rows and values (NaN equals NaN) are the same.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def content(table: pa.Table) -> pa.Buffer:
        # As parquet, because how a table lies in memory (chunks, slices, what is under nulls) leaves no trace there.
        kept = {name: table[name] for name in table.column_names if name not in ignore}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(kept).combine_chunks(), sink, store_schema=False)
        return sink.getvalue()

    return bool(content(a).equals(content(b)))


def nearest_folder(path: str | os.PathLike[str]) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = Path(path).absolute()
    return next((one for one in (path, *path.parents) if one.exists()), path)


def check_writable(folder: str | os.PathLike[str], min_free_mb: float = 50.0) -> Path:
    """Fail now rather than after hours: write a small file where the folder is or will be, and look at the free space.

    A folder that does not exist is not made, so that a refused run leaves none.

    Args:
        folder: Where results are to go.
        min_free_mb: Free space to ask for, in MB.

    Returns:
        The folder.

    Raises:
        ResultsError: If the folder cannot be made or written to, or too little space is free.
    """
    folder = Path(folder)
    try:
        there = nearest_folder(folder)
        probe = there / f".probe.{uuid.uuid4().hex[:12]}.tmp"
        try:
            probe.write_bytes(b"untrac")
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(there).free / 1e6
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
