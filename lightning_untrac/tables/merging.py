"""Sorted tables as one, without being in memory together: the scores of millions of examples are among them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.tables.files import conform, open_table

if TYPE_CHECKING:
    import pyarrow as pa

RUN_KEYS: Final = ("method", "corpus", "test_set", "seed")
"""What the rows of a run share; one more column of the key counts them: ``step`` or ``example``."""

PIECE_ROWS = 16_384
"""Rows of a part of a table: so many are made at a time."""

PARTS_IN_MEMORY = 64


def merged(sources: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows of several files, sorted by key.

    Args:
        sources: Files with the columns of the schema, each sorted by key. Rows that share :data:`RUN_KEYS` come from
            one file: the last that has some.
        schema: Of what comes out.

    Yields:
        The rows, at least :data:`PIECE_ROWS` at a time as long as there are so many.

    Raises:
        ResultsError: If a file is damaged.
    """
    import pyarrow as pa

    @functools.lru_cache(maxsize=PARTS_IN_MEMORY)
    def part(path: Path, group: int) -> pa.Table:
        with open_table(path) as file:
            return conform(file.read_row_group(group), schema, path)

    key_schema = pa.schema([schema.field(name) for name in RUN_KEYS])
    runs: dict[tuple[str, str, str, int], list[tuple[Path, int, int, int]]] = {}
    for path in sources:
        found: dict[tuple[str, str, str, int], list[tuple[Path, int, int, int]]] = {}
        with open_table(path) as file:
            keys = [file.read_row_group(group, columns=list(RUN_KEYS)) for group in range(file.num_row_groups)]
        for group, table in enumerate(keys):
            for key, start, count in _runs(conform(table, key_schema, path)):
                found.setdefault(key, []).append((path, group, start, count))
        runs |= found
    waiting, rows = list[pa.Table](), 0
    for key in sorted(runs):
        for path, group, start, count in runs[key]:
            waiting.append(part(path, group).slice(start, count))
            rows += count
            if rows >= PIECE_ROWS:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _runs(table: pa.Table) -> Iterator[tuple[tuple[str, str, str, int], int, int]]:
    """Key, first row and number of rows of each run."""
    changes = np.zeros(table.num_rows, dtype=bool)
    changes[:1] = True
    for name in RUN_KEYS:
        codes = table[name].combine_chunks().dictionary_encode().indices.to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(changes)
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
        method, corpus, test_set, seed = (table[name][int(start)].as_py() for name in RUN_KEYS)
        yield (method, corpus, test_set, seed), int(start), int(stop - start)


def merge_tables(old: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows of two tables, sorted by key; of two rows with one key the later counts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    both = pa.concat_tables([old, new]).combine_chunks()
    numbered = both.select(list(keys)).append_column("_row", pa.array(range(both.num_rows), pa.int64()))
    latest = numbered.group_by(list(keys), use_threads=False).aggregate([("_row", "max")])
    order = pc.sort_indices(latest, sort_keys=[(key, "ascending") for key in keys])
    return both.take(latest["_row_max"].take(order)).combine_chunks()
