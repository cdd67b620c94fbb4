"""The influences of a run on disk: rows are merged by key, kept sorted, and never half written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_untrac.tables import schema as schemas
from lightning_untrac.tables.examples import recorded_episodes
from lightning_untrac.tables.files import (
    atomic_path,
    atomic_write_bytes,
    check_writable,
    equal_tables,
    read_table,
    table_checksum,
    write_table,
)
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.schema import EXAMPLES_KEYS, INFLUENCE_KEYS, InfluenceRow, ResultsError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "InfluenceStore",
    "atomic_path",
    "atomic_write_bytes",
    "check_writable",
    "conform",
    "equal_tables",
    "merge_tables",
    "read_table",
    "table_checksum",
    "write_table",
]


def merge_tables(old: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Append rows to a table of the same columns; rows with the same key replace earlier ones.

    Args:
        old: What was there.
        new: What is added; of two rows with one key the later counts.
        keys: The columns that make the key.

    Returns:
        The rows of both, sorted by key: the order in which they came leaves no trace.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    both = pa.concat_tables([old, new]).combine_chunks()
    numbered = both.select(list(keys)).append_column("_row", pa.array(range(both.num_rows), pa.int64()))
    latest = numbered.group_by(list(keys), use_threads=False).aggregate([("_row", "max")])
    order = pc.sort_indices(latest, sort_keys=[(key, "ascending") for key in keys])
    return both.take(latest["_row_max"].take(order)).combine_chunks()


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


class InfluenceStore:
    """The influences of a run: ``influence.parquet`` and ``examples.parquet`` in a folder.

    Both are always whole, sorted by key and free of repeats: two runs that computed the same things in another order
    write equal tables (all but ``seconds``).

    Args:
        folder: The run's folder; made when the first rows come.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Remember the paths; nothing is read or written yet."""
        self.folder = Path(folder)
        self.path = self.folder / "influence.parquet"
        self.examples_path = self.folder / "examples.parquet"

    @staticmethod
    def previous(path: Path) -> Path:
        """Where the state of a table before its last change is kept: what a damaged one is mended with."""
        return path.with_name(f".{path.name}.previous")

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from changing the tables."""
        return locked(self.folder)

    def _read(self, path: Path, schema: pa.Schema) -> pa.Table:
        if not path.exists():
            return schema.empty_table()
        return conform(read_table(path), schema, path)

    def table(self) -> pa.Table:
        """All readings, with the columns of ``INFLUENCE_SCHEMA``; no rows if nothing was written yet."""
        return self._read(self.path, schemas.influence_schema())

    def examples(self) -> pa.Table:
        """All scores of single examples, with the columns of ``EXAMPLES_SCHEMA``."""
        return self._read(self.examples_path, schemas.examples_schema())

    def rows(self) -> list[InfluenceRow]:
        """All readings, sorted by key."""
        return [InfluenceRow(**row) for row in self.table().to_pylist()]

    def append(self, rows: Iterable[InfluenceRow]) -> None:
        """Add readings; those with a key (method, corpus, test_set, seed, step) that is there replace it.

        Args:
            rows: Readings in any order.
        """
        import pyarrow as pa

        new = pa.Table.from_pylist([row.as_dict() for row in rows], schema=schemas.influence_schema())
        if new.num_rows:
            with locked(self.folder):
                merged = merge_tables(self.table(), new, INFLUENCE_KEYS)
                write_table(self.path, merged, self.previous(self.path))

    def append_examples(self, rows: pa.Table | Iterable[Mapping[str, Any]]) -> None:
        """Add scores of single examples; the key is (method, corpus, test_set, seed, example).

        Args:
            rows: A table or dicts with the columns of ``EXAMPLES_SCHEMA``.
        """
        import pyarrow as pa

        schema = schemas.examples_schema()
        new = (
            conform(rows, schema, "the table of examples")
            if isinstance(rows, pa.Table)
            else pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        )
        if new.num_rows:
            with locked(self.folder):
                merged = merge_tables(self.examples(), new, EXAMPLES_KEYS)
                write_table(self.examples_path, merged, self.previous(self.examples_path))

    def drop_episode(self, method: str, key: Literal["corpus", "test_set"], dataset: str, seed: int) -> None:
        """Remove the readings of an episode whose numbers turned out to be wrong.

        Args:
            method: As in the ``method`` column.
            key: What an episode of this method runs over.
            dataset: Which one it ran over.
            seed: Of its data order.
        """
        import pyarrow.compute as pc

        with locked(self.folder):
            table = self.table()
            mine = pc.and_(pc.equal(table["method"], method), pc.equal(table[key], dataset))
            kept = table.filter(pc.invert(pc.and_(mine, pc.equal(table["seed"], seed))))
            if kept.num_rows < table.num_rows:
                write_table(self.path, kept)
                self.previous(self.path).unlink(missing_ok=True)

    def finished_episodes(
        self, method: str, key: Literal["corpus", "test_set"] = "corpus", examples: bool = False
    ) -> set[tuple[str, int]]:
        """The episodes that have final readings, so that a run that goes on can skip them.

        Args:
            method: As in the ``method`` column.
            key: What an episode of this method runs over: the corpus (UnTrac, leave-out) or the test set (UnTrac-Inv).
            examples: Whether an episode must also have scores of single examples to be finished.

        Returns:
            Pairs of dataset and seed.
        """
        import pyarrow.compute as pc

        def pairs(table: pa.Table) -> set[tuple[str, int]]:
            distinct = table.group_by([key, "seed"], use_threads=False).aggregate([])
            return set(zip(distinct[key].to_pylist(), distinct["seed"].to_pylist(), strict=True))

        table = self.table()
        finished = pairs(table.filter(pc.and_(pc.equal(table["method"], method), table["final"])))
        if examples:
            finished &= recorded_episodes(self.examples_path, method, key)
        return finished
