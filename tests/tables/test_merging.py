"""Files that are merged a part at a time say what the tables merged in memory say."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lightning_untrac.tables import EXAMPLES_SCHEMA, ResultsError, equal_tables, write_table
from lightning_untrac.tables import merging as module
from lightning_untrac.tables.merging import RUN_KEYS, merge_tables, merged
from lightning_untrac.tables.schema import EXAMPLES_KEYS


def run(key: tuple[str, str, str, int], size: int, value: float) -> pa.Table:
    rows = [
        {**dict(zip(RUN_KEYS, key, strict=True)), "example": 3 * i, "content_hash": f"{i:x}é", "status": "ok",
         "loss_before": None if i % 2 else value * i, "loss_after": float("nan") if i == 1 else 1.0,
         "num_tokens": i + 1, "influence": value}
        for i in range(size)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EXAMPLES_SCHEMA)


KEYS = list(itertools.product("m", ("a", "b-é", "b"), ("t", "u"), (0, 10, 9)))


@pytest.mark.parametrize("piece_rows", [1, 7, 20, 65_536])
@pytest.mark.parametrize("in_memory", [1, 64])
def test_it_says_what_the_merged_tables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_rows: int, in_memory: int
) -> None:
    monkeypatch.setattr(module, "PIECE_ROWS", piece_rows)
    monkeypatch.setattr(module, "PARTS_IN_MEMORY", in_memory)
    order = np.random.default_rng(0).permutation(len(KEYS)).tolist()
    paths, expected = [], EXAMPLES_SCHEMA.empty_table()
    for turn in range(0, len(order), 5):
        its = pa.concat_tables(run(KEYS[i], i % 9, float(turn)) for i in order[turn : turn + 5])
        its = its.sort_by([(key, "ascending") for key in EXAMPLES_KEYS])
        expected = merge_tables(expected, its, EXAMPLES_KEYS)
        paths.append(write_table(tmp_path / f"{turn}.parquet", its))
    parts = list(merged(paths, EXAMPLES_SCHEMA))
    assert equal_tables(pa.concat_tables(parts), expected)
    assert all(part.num_rows < piece_rows + 9 for part in parts)
    assert all(part.num_rows >= piece_rows for part in parts[:-1])


def test_the_last_file_with_a_run_counts(tmp_path: Path) -> None:
    first = write_table(tmp_path / "1.parquet", pa.concat_tables(run(key, 4, 1.0) for key in sorted(KEYS)))
    last = write_table(tmp_path / "2.parquet", run(KEYS[3], 2, 2.0))
    found = pa.concat_tables(merged([first, last], EXAMPLES_SCHEMA)).to_pylist()
    assert len(found) == 4 * (len(KEYS) - 1) + 2
    assert {tuple(row[name] for name in RUN_KEYS) for row in found if row["influence"] == 2.0} == {KEYS[3]}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "1.parquet", run(KEYS[0], 4, 1.0))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ResultsError, match=r"1\.parquet cannot be read"):
        list(merged([path], EXAMPLES_SCHEMA))
