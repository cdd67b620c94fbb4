import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import EXAMPLES_SCHEMA, INFLUENCE_SCHEMA, InfluenceStore


def test_a_failing_append_leaves_the_old_rows(tmp_path, rows, monkeypatch):
    store = InfluenceStore(tmp_path)
    store.append(rows[:5])
    before = store.path.read_bytes()

    def fail(*arguments):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", fail)
        with pytest.raises(OSError, match="No space"):
            store.append(rows)
    assert store.path.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(store.rows()) == 5
    store.append(rows)
    assert len(store.rows()) == len(rows)


def test_order_of_appends_leaves_no_trace(tmp_path, rows):
    shuffled = random.Random(0).sample(rows, len(rows))
    one, other = InfluenceStore(tmp_path / "a"), InfluenceStore(tmp_path / "b")
    one.append(rows)
    for start in range(0, len(rows), 7):
        other.append(shuffled[start : start + 7])
    other.append(shuffled[:9])
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.rows() == other.rows() == sorted(rows, key=lambda row: row.key)
    assert one.table().schema == INFLUENCE_SCHEMA


def test_later_rows_replace_earlier_ones(tmp_path, rows):
    import dataclasses

    store = InfluenceStore(tmp_path)
    store.append(rows)
    changed = dataclasses.replace(rows[3], influence=42.0)
    store.append([changed])
    store.append([])
    assert len(store.rows()) == len(rows)
    assert [r.influence for r in store.rows() if r.key == changed.key] == [42.0]


def test_empty_store(tmp_path):
    store = InfluenceStore(tmp_path / "nothing")
    assert store.rows() == []
    assert store.table().num_rows == store.examples().num_rows == 0
    assert store.finished_episodes("untrac") == set()
    assert not store.folder.exists()


def test_finished_episodes(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(r for r in rows if not (r.final and (r.corpus, r.seed) == ("news", 1)))
    finished = store.finished_episodes("untrac")
    assert ("news", 1) not in finished
    assert ("news", 0) in finished
    assert len(finished) == 9
    assert store.finished_episodes("untrac", key="test_set") == {(t, s) for t in ("toxicity", "bias") for s in (0, 1)}
    assert store.finished_episodes("graddot") == set()


def test_examples(tmp_path):
    store = InfluenceStore(tmp_path)
    row = {
        "method": "untrac_inv",
        "corpus": "c",
        "test_set": "t",
        "seed": 0,
        "content_hash": "ab",
        "num_tokens": 3,
        "influence": 0.5,
        "status": "ok",
    }
    store.append_examples([{**row, "example": i} for i in (3, 1)])
    store.append_examples(pa.Table.from_pylist([{**row, "example": 2}, {**row, "example": 3, "influence": 9.0}]))
    table = store.examples()
    assert table.schema == EXAMPLES_SCHEMA
    assert table["example"].to_pylist() == [1, 2, 3]
    assert table["influence"].to_pylist() == [0.5, 0.5, 9.0]
    assert table["loss_before"].null_count == 3


def test_writers_at_the_same_time_lose_nothing(tmp_path, rows):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:  # each opens the folder anew, as processes that share a run would
        list(pool.map(lambda row: InfluenceStore(tmp_path).append([row]), rows))
    assert InfluenceStore(tmp_path).rows() == sorted(rows, key=lambda row: row.key)


def test_an_episode_is_dropped(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(rows)
    store.drop_episode("untrac", "corpus", "news", 1)
    assert store.finished_episodes("untrac") == {(row.corpus, row.seed) for row in rows} - {("news", 1)}
    assert ("news", 1) in store.finished_episodes("leave_out")


def test_a_folder_that_was_packed_is_unpacked_elsewhere(tmp_path, rows):
    one, other = InfluenceStore(tmp_path / "one"), InfluenceStore(tmp_path / "other")
    for seed in (0, 1):
        mine = [row for row in rows if (row.method, row.corpus, row.seed) == ("untrac", "news", seed)]
        one.write_episode("untrac", "news", seed, mine)
        example = {"method": "untrac", "corpus": "news", "test_set": "t", "seed": seed, "example": 0, "num_tokens": 1}
        one.write_examples(
            "untrac", "news", seed, [pa.Table.from_pylist([{**example, "influence": 0.5, "status": "ok"}])]
        )
    packed = list(one.packed())
    assert [name.split("/")[1] for name, _ in packed] == ["examples", "examples", "influence", "influence"]
    other.unpack(packed)
    one.compact()
    assert other.path.read_bytes() == one.path.read_bytes()
    assert other.examples_path.read_bytes() == one.examples_path.read_bytes()
    assert other.finished_episodes("untrac", examples=True) == {("news", 0), ("news", 1)}
