import contextlib
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import (
    EXAMPLES_SCHEMA,
    INFLUENCE_SCHEMA,
    InfluenceStore,
    ResultsError,
    atomic_path,
    atomic_write_bytes,
    check_writable,
    equal_tables,
    read_table,
    write_table,
)
from lightning_untrac.tables.checksums import CHECKSUMS, damaged_files, file_digest, write_checksums
from lightning_untrac.tables.locking import LOCK
from lightning_untrac.tables.recovery import recover
from lightning_untrac.tables.store import table_checksum


def test_atomic_write_replaces_or_leaves(tmp_path):
    path = tmp_path / "sub" / "a.txt"
    atomic_write_bytes(path, b"old")

    def stop_half_way():
        with atomic_path(path) as beside:
            beside.write_bytes(b"half")
            assert path.read_bytes() == b"old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_half_way()
    assert path.read_bytes() == b"old"
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failing_append_leaves_the_old_rows(tmp_path, rows, monkeypatch):
    store = InfluenceStore(tmp_path)
    store.append(rows[:5])
    before = store.path.read_bytes()

    def fail(table, where):
        where.write_bytes(b"PAR1 half a file")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", fail)
        with pytest.raises(OSError, match="No space"):
            store.append(rows)
    assert store.path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name != LOCK] == ["influence.parquet"]
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


def test_equal_tables_ignores_timings_only(tmp_path, rows):
    import dataclasses

    a, b, c = (InfluenceStore(tmp_path / name) for name in "abc")
    a.append(rows)
    b.append(dataclasses.replace(r, seconds=r.seconds + 1) for r in rows)
    c.append([dataclasses.replace(rows[0], influence=rows[0].influence + 1e-16 + 1e-12), *rows[1:]])
    assert equal_tables(a.table(), b.table())
    assert not equal_tables(a.table(), b.table(), ignore=())
    assert not equal_tables(a.table(), c.table())


def test_checksum_sees_content_and_nothing_else():
    table = pa.table({"a": [1.0, None, float("nan")], "b": ["x", None, "yz"], "c": [True, None, False]})
    padded = pa.concat_tables([pa.table({"a": [5.0], "b": ["q"], "c": [True]}), table])
    assert table_checksum(padded.slice(1)) == table_checksum(table)
    assert table_checksum(table.slice(0, 2)) != table_checksum(table)
    changed = [
        table.set_column(0, "a", pa.array([1.0, 0.0, float("nan")])),
        table.set_column(1, "b", pa.array(["x", "", "yz"])),
        table.set_column(1, "b", pa.array(["xy", None, "z"])),
        table.rename_columns(["a", "b", "d"]),
    ]
    assert len({table_checksum(t) for t in [table, *changed]}) == 5


def test_damage_is_seen_and_said(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(rows)
    good = store.path.read_bytes()

    store.path.write_bytes(good[: len(good) // 2])
    with pytest.raises(ResultsError, match=r"influence\.parquet cannot be read.*run the same command again"):
        store.rows()
    store.path.write_bytes(b"")
    with pytest.raises(ResultsError, match="cannot be read"):
        store.rows()

    metadata = pq.read_schema(pa.BufferReader(good)).metadata
    forged = pq.read_table(pa.BufferReader(good))
    influence = [v + 1e-3 for v in forged["influence"].to_pylist()]
    forged = forged.set_column(forged.schema.get_field_index("influence"), "influence", pa.array(influence))
    pq.write_table(forged.replace_schema_metadata(metadata), store.path)
    with pytest.raises(ResultsError, match="does not match its checksum"):
        store.rows()

    pq.write_table(forged.replace_schema_metadata(None), store.path)
    with pytest.raises(ResultsError, match="no checksum"):
        store.rows()


def test_any_flipped_byte_of_the_data_is_seen(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(rows)
    good = store.path.read_bytes()
    expected = store.table()
    for position in range(4, len(good) - 4, 997):
        store.path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        with contextlib.suppress(ResultsError):  # bytes that say nothing about the rows may change without notice
            assert equal_tables(store.table(), expected, ignore=())


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(ResultsError, match="There is no file"):
        read_table(tmp_path / "nothing.parquet")
    write_table(tmp_path / "influence.parquet", pa.table({"a": [1]}))
    with pytest.raises(ResultsError, match="lacks the columns method"):
        InfluenceStore(tmp_path).table()


def test_tables_come_back_as_they_were(tmp_path):
    table = pa.table({"a": [1, 2], "b": [[1], None], "c": ["x", None]}).replace_schema_metadata({"who": "me"})
    write_table(tmp_path / "t.parquet", table)
    back = read_table(tmp_path / "t.parquet")
    assert back.to_pylist() == table.to_pylist()
    assert back.schema.metadata == {b"who": b"me"}


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


def test_check_writable(tmp_path):
    folder = check_writable(tmp_path / "new" / "folder", min_free_mb=0.001)
    assert list(folder.iterdir()) == []
    with pytest.raises(ResultsError, match="MB are free"):
        check_writable(folder, min_free_mb=1e15)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        check_writable(tmp_path / "file")


def test_writers_at_the_same_time_lose_nothing(tmp_path, rows):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:  # each opens the folder anew, as processes that share a run would
        list(pool.map(lambda row: InfluenceStore(tmp_path).append([row]), rows))
    assert InfluenceStore(tmp_path).rows() == sorted(rows, key=lambda row: row.key)


def test_a_damaged_table_makes_way_for_the_state_before(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(rows[:5])
    store.append(rows[5:])
    content = bytearray(store.path.read_bytes())
    content[200] ^= 1
    store.path.write_bytes(content)
    (damage,) = recover(store)
    assert damage.rows == 5
    assert "its state before the last change (5 rows) took its place" in str(damage)
    assert len(store.rows()) == 5
    assert damage.aside.read_bytes() == content
    assert recover(store) == []
    store.append(rows[5:])
    assert len(store.rows()) == len(rows)


def test_nothing_is_left_of_a_table_without_an_earlier_state(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    for number in (1, 2):
        store.append(rows[:5])
        store.path.write_bytes(store.path.read_bytes()[:-10])
        store.previous(store.path).unlink(missing_ok=True)
        (damage,) = recover(store)
        assert "there is no earlier state" in str(damage)
        assert damage.aside.name == "influence.parquet.damaged" + ("-2" if number == 2 else "")
    assert store.rows() == []


def test_the_earlier_state_without_hard_links(tmp_path, rows, monkeypatch):
    def refuse(*paths):
        raise OSError("not here")

    monkeypatch.setattr("os.link", refuse)
    store = InfluenceStore(tmp_path)
    store.append(rows[:5])
    before = store.path.read_bytes()
    store.append(rows[5:])
    assert store.previous(store.path).read_bytes() == before


def test_an_episode_is_dropped(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    store.append(rows)
    store.drop_episode("untrac", "corpus", "news", 1)
    assert store.finished_episodes("untrac") == {(row.corpus, row.seed) for row in rows} - {("news", 1)}
    assert ("news", 1) in store.finished_episodes("leave_out")


def test_a_table_that_one_command_makes_says_which(tmp_path):
    (tmp_path / "comparison.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match="run `untrac compare` again"):
        read_table(tmp_path / "comparison.parquet")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "sub/../../secret", ""])
def test_checksums_name_files_of_their_own_folder_only(tmp_path, name):
    """A name from a file is never followed out of the folder, also where its checksum is right."""
    (tmp_path / "secret").write_bytes(b"s")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CHECKSUMS).write_text(json.dumps({name: file_digest(tmp_path / "secret")}))
    assert damaged_files(folder) == [f"{CHECKSUMS} names {name!r}, which is no file of this folder"]


def test_checksums_of_a_folder(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"0123")
    (tmp_path / "config.json").write_bytes(b"{}")
    assert damaged_files(tmp_path) == []  # none were written
    write_checksums(tmp_path)
    assert damaged_files(tmp_path) == []
    (tmp_path / "weights.bin").write_bytes(b"0124")
    (tmp_path / "config.json").unlink()
    assert damaged_files(tmp_path) == [
        "config.json is missing",
        "weights.bin is damaged: its SHA-256 is not the one that was saved with it",
    ]
