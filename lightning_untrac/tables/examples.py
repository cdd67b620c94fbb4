"""``examples.parquet`` in pieces: the scores of millions of examples are merged without being in memory together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lightning_untrac.tables import schema as schemas
from lightning_untrac.tables.files import CHECKSUM_KEY, atomic_path, keep_previous
from lightning_untrac.tables.schema import ResultsError

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.tables.store import InfluenceStore

PIECE_ROWS = 65_536
"""Rows that are in memory at a time, and of a row group of the file."""


class ExamplesKey(NamedTuple):
    """What the examples of one reading share, in the order of the file."""

    method: str
    corpus: str
    test_set: str
    seed: int


@dataclass(frozen=True)
class ExamplesPiece:
    """Examples of one key, made when they are asked for.

    Attributes:
        key: what they share.
        num_rows: how many there are.
        read: makes the rows from the first to before the second index, in the order of ``example``, with the columns
            of ``EXAMPLES_SCHEMA`` or at least the named ones.
    """

    key: ExamplesKey
    num_rows: int
    read: Callable[[int, int, Sequence[str]], pa.Table]

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows, some at a time, with these columns in this order."""
        for start in range(0, self.num_rows, PIECE_ROWS):
            yield self.read(start, min(start + PIECE_ROWS, self.num_rows), columns).select(list(columns))


def merge_examples(store: InfluenceStore, pieces: Iterable[ExamplesPiece]) -> None:
    """Add pieces to ``examples.parquet``; one whose key is there already replaces what was there.

    The file comes out sorted, whole and with the checksum that ``read_table`` asks for. Memory is that of
    :data:`PIECE_ROWS` rows, however many there are.

    Args:
        store: whose file it is; made if it is missing.
        pieces: what is added.

    Raises:
        ResultsError: if the file is damaged.
    """
    import pyarrow.parquet as pq

    new = {piece.key: piece for piece in pieces if piece.num_rows}
    if not new:
        return
    path = store.examples_path
    with store.locked(), _WrittenExamples(path) as written:
        kept = [piece for piece in written.pieces if piece.key not in new]
        merged = sorted([*kept, *new.values()], key=lambda piece: piece.key)
        schema = schemas.examples_schema().with_metadata({CHECKSUM_KEY: _checksum(merged)})
        with atomic_path(path) as beside:
            with pq.ParquetWriter(beside, schema) as writer:
                for table in _of_some_size(merged, schema):
                    writer.write_table(table)
            if path.exists():
                keep_previous(path, store.previous(path))


def table_pieces(table: pa.Table) -> list[ExamplesPiece]:
    """The pieces of a table of examples.

    Args:
        table: with the columns of ``EXAMPLES_SCHEMA``, sorted as the file is.
    """
    return [ExamplesPiece(key, count, partial(_slice, table, start)) for key, start, count in _runs(table)]


def file_pieces(path: Path) -> list[ExamplesPiece]:
    """The pieces of a file, read from it when they are asked for.

    Args:
        path: of an ``examples.parquet``; it may be missing.

    Raises:
        ResultsError: if it is damaged.
    """
    return _WrittenExamples(path).pieces


def _slice(table: pa.Table, first: int, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
    return table.slice(first + start, stop - start).select(list(columns))


def _runs(table: pa.Table) -> Iterator[tuple[ExamplesKey, int, int]]:
    """Key, first row and number of rows of each run of one key."""
    keys = list(ExamplesKey._fields)
    changes = np.zeros(table.num_rows, dtype=bool)
    changes[:1] = True
    for name in keys:
        codes = table[name].combine_chunks().dictionary_encode().indices.to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(changes)
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
        yield ExamplesKey(*(table[name][int(start)].as_py() for name in keys)), int(start), int(stop - start)


def _of_some_size(pieces: Iterable[ExamplesPiece], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows, those of small pieces together: a row group of a few rows is mostly its own description."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for piece in pieces:
        for table in piece.tables(schema.names):
            waiting.append(table.cast(schema))
            if sum(part.num_rows for part in waiting) >= PIECE_ROWS:
                yield pa.concat_tables(waiting)
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def recorded_episodes(path: Path, method: str, key: str) -> set[tuple[str, int]]:
    """Which episodes of a method have scores of single examples.

    Args:
        path: of ``examples.parquet``; it may be missing.
        method: as in the ``method`` column.
        key: what an episode runs over, ``corpus`` or ``test_set``.

    Returns:
        Pairs of dataset and seed.

    Raises:
        ResultsError: if the file is damaged.
    """
    with _WrittenExamples(path) as written:
        keys = [piece.key for piece in written.pieces]
    return {(getattr(k, key), k.seed) for k in keys if k.method == method}


def check_examples(path: Path) -> None:
    """Hold a file against its checksum, without having all of it in memory.

    Args:
        path: of ``examples.parquet``.

    Raises:
        ResultsError: if it is damaged.
    """
    with _WrittenExamples(path):
        pass


class _WrittenExamples:
    """The pieces of a file, if there is one."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.pieces = path, list[ExamplesPiece]()
        self._last: tuple[int, tuple[str, ...], pa.Table] | None = None
        if not path.exists():
            self._file = None
            return
        try:
            self._file = pq.ParquetFile(path)
            self._find_pieces()
            found = _checksum(self.pieces)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ResultsError(f"{path} cannot be read as a table of examples ({error}); {_ADVICE}") from error
        if (self._file.schema_arrow.metadata or {}).get(CHECKSUM_KEY) != found:
            raise ResultsError(f"{path} is damaged: its content does not match its checksum; {_ADVICE}")

    def __enter__(self) -> _WrittenExamples:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _find_pieces(self) -> None:
        assert self._file is not None
        keys = list(ExamplesKey._fields)
        for group in range(self._file.num_row_groups):
            for key, start, count in _runs(self._file.read_row_group(group, columns=keys)):
                self.pieces.append(ExamplesPiece(key, count, self._reader(group, start)))

    def _reader(self, group: int, first: int) -> Callable[[int, int, Sequence[str]], pa.Table]:
        def read(start: int, stop: int, columns: Sequence[str]) -> pa.Table:
            # One after another, pieces of a row group are read from it once.
            if self._last is None or self._last[:2] != (group, tuple(columns)):
                assert self._file is not None
                self._last = (group, tuple(columns), self._file.read_row_group(group, columns=list(columns)))
            return self._last[2].slice(first + start, stop - start)

        return read


_ADVICE = "put back a copy of it, or delete it and run the same command again: what it held is computed anew."


def _checksum(pieces: Sequence[ExamplesPiece]) -> bytes:
    """:func:`table_checksum` of the pieces after one another, a column at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256(f"{sum(piece.num_rows for piece in pieces)} rows".encode())
    for field in schemas.examples_schema():

        def parts(name: str = field.name) -> Iterator[pa.ChunkedArray]:
            for piece in pieces:
                for table in piece.tables([name]):
                    yield table[name]

        digest.update(f"\n{field.name!r} {field.type}\n".encode())
        for part in parts():
            digest.update(pc.is_null(part).cast(pa.uint8()).to_numpy().tobytes())
        if field.type == pa.string():
            for part in parts():
                digest.update(pc.binary_length(pc.fill_null(part, "")).cast(pa.int64()).to_numpy().tobytes())
            for part in parts():
                digest.update("".join(pc.fill_null(part, "").to_pylist()).encode())
        else:
            for part in parts():
                digest.update(pc.fill_null(part, pa.scalar(0, field.type)).to_numpy().tobytes())
    return digest.hexdigest().encode()
