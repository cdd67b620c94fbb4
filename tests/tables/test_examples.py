"""``examples.parquet`` in pieces says what the table merged in memory says."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import InfluenceStore, ResultsError, equal_tables, read_table, write_table
from lightning_untrac.tables import examples as module
from lightning_untrac.tables.examples import ExamplesKey, ExamplesPiece, merge_examples, recorded_episodes
from lightning_untrac.tables.schema import examples_schema


def table(key: ExamplesKey, size: int, value: float) -> pa.Table:
    rows = [
        {**key._asdict(), "example": 3 * i, "content_hash": f"{i:x}é", "loss_before": None if i % 2 else value * i,
         "loss_after": float("nan") if i == 1 else 1.0, "num_tokens": i + 1, "influence": value, "status": "ok"}
        for i in range(size)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=examples_schema())


def piece(made: pa.Table, key: ExamplesKey) -> ExamplesPiece:
    return ExamplesPiece(key, made.num_rows, lambda start, stop, columns: made.slice(start, stop - start))


KEYS = [ExamplesKey("m", c, t, s) for c, t, s in itertools.product(("a", "b-é", "b"), ("t", "u"), (0, 10, 9))]


@pytest.mark.parametrize("piece_rows", [1, 7, 20, 65_536])
def test_it_writes_what_the_store_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_rows: int) -> None:
    monkeypatch.setattr(module, "PIECE_ROWS", piece_rows)
    order = np.random.default_rng(0).permutation(len(KEYS)).tolist()
    mine, store = InfluenceStore(tmp_path / "mine"), InfluenceStore(tmp_path / "other")
    for turn in range(0, len(order), 5):
        made = {KEYS[i]: table(KEYS[i], i % 9, float(turn)) for i in order[turn : turn + 5]}
        merge_examples(mine, [piece(t, key) for key, t in made.items()])
        store.append_examples(pa.concat_tables(made.values()))
    assert equal_tables(mine.examples(), store.examples())
    merge_examples(store, [piece(table(KEYS[8], 8, 7.0), KEYS[8])])  # one that the store wrote
    before = mine.examples()
    merge_examples(mine, [piece(table(KEYS[8], 8, 7.0), KEYS[8])])
    assert equal_tables(mine.examples(), store.examples())
    assert equal_tables(read_table(mine.previous(mine.examples_path)), before)
    assert recorded_episodes(mine.examples_path, "m", "test_set") == {(t, s) for t in "tu" for s in (0, 9, 10)}


def test_what_is_there_is_replaced(tmp_path: Path) -> None:
    store = InfluenceStore(tmp_path)
    merge_examples(store, [piece(table(key, 4, 1.0), key) for key in KEYS])
    merge_examples(store, [piece(table(KEYS[3], 4, 2.0), KEYS[3])])
    found = store.examples().to_pylist()
    assert len(found) == 4 * len(KEYS)
    changed = {ExamplesKey(*(row[name] for name in ExamplesKey._fields)) for row in found if row["influence"] == 2.0}
    assert changed == {KEYS[3]}


def test_nothing_makes_no_file(tmp_path: Path) -> None:
    merge_examples(InfluenceStore(tmp_path), [piece(table(KEYS[0], 0, 1.0), KEYS[0])])
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_not_merged(tmp_path: Path) -> None:
    store = InfluenceStore(tmp_path)
    path = store.examples_path
    made = table(KEYS[0], 4, 1.0)
    merge_examples(store, [piece(made, KEYS[0])])
    pq.write_table(pq.read_table(path).slice(0, 3), path)
    with pytest.raises(ResultsError, match="does not match its checksum"):
        merge_examples(store, [piece(made, KEYS[1])])
    path.write_bytes(b"no parquet")
    with pytest.raises(ResultsError, match="cannot be read"):
        merge_examples(store, [piece(made, KEYS[1])])
    write_table(path, made)
    merge_examples(store, [piece(table(KEYS[1], 2, 1.0), KEYS[1])])
    assert read_table(path).num_rows == 6
