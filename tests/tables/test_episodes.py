"""Files of finished episodes, and the table that is compacted from them."""

import dataclasses
import subprocess
import sys

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import INFLUENCE_SCHEMA, InfluenceStore, equal_tables, read_table
from lightning_untrac.tables.merging import merge_tables
from lightning_untrac.tables.schema import INFLUENCE_KEYS


def episodes(rows):
    """Readings by (method, corpus, seed)."""
    found = {}
    for row in rows:
        found.setdefault((row.method, row.corpus, row.seed), []).append(row)
    return found


def write(folder, rows):
    store = InfluenceStore(folder)
    for (method, corpus, seed), its in episodes(rows).items():
        store.write_episode(method, corpus, seed, its)
    return store


def written_before(folder, rows):
    """What the version before has left: the table alone, with a checksum of its own."""
    table = pa.Table.from_pylist([row.as_dict() for row in rows], schema=INFLUENCE_SCHEMA)
    table = merge_tables(table.slice(0, 0), table, INFLUENCE_KEYS)
    folder.mkdir(exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"untrac.sha256": "0" * 64}), folder / "influence.parquet")
    (folder / ".influence.parquet.previous").write_bytes(b"")
    return InfluenceStore(folder)


def test_a_file_is_a_finished_episode(tmp_path, rows):
    store = write(tmp_path, rows)
    assert not store.path.exists()
    assert store.rows() == sorted(rows, key=lambda row: row.key)
    assert store.finished_episodes("untrac") == {(row.corpus, row.seed) for row in rows}
    assert store.finished_episodes("untrac", examples=True) == set()
    (tmp_path / "episodes" / "influence" / "untrac" / "news-seed-1.parquet").unlink()
    assert ("news", 1) not in store.finished_episodes("untrac")
    assert ("news", 1) in store.finished_episodes("leave_out")


def test_the_table_is_that_of_rows_that_came_at_once(tmp_path, rows):
    store = write(tmp_path / "one", rows)
    store.compact()
    other = InfluenceStore(tmp_path / "other")
    other.append(rows)
    assert equal_tables(read_table(store.path), read_table(other.path), ignore=())
    assert store.table().equals(other.table())
    files = pyarrow.dataset.dataset(tmp_path / "one" / "episodes" / "influence")  # as a user may read them
    assert files.to_table().num_rows == len(rows)


def test_a_table_that_is_up_to_date_is_not_written_again(tmp_path, rows):
    store = write(tmp_path, rows[:60])
    store.compact()
    before = store.path.stat()
    store.compact()
    assert (store.path.stat().st_ino, store.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    last = episodes(rows)["leave_out", "books", 1]
    store.write_episode("leave_out", "books", 1, last)
    assert {row.key for row in last} <= {row.key for row in store.rows()}  # also before it is compacted
    store.compact()
    assert store.path.stat().st_ino != before.st_ino
    assert {row["corpus"] for row in read_table(store.path).to_pylist()} >= {"books"}


@pytest.mark.parametrize("dataset", ["a-seed-1", "wiki.en_2", "..", "Ä b/c", "x.parquet"])
def test_any_name_is_found_again(tmp_path, rows, dataset):
    store = InfluenceStore(tmp_path)
    store.write_episode("my/method", dataset, -3, [dataclasses.replace(rows[0], method="my/method", corpus=dataset)])
    assert store.finished_episodes("my/method") == {(dataset, -3)}
    assert len(list(tmp_path.glob("episodes/influence/*/*.parquet"))) == 1
    store.discard("my/method")
    assert store.rows() == []


def test_what_a_mac_leaves_beside_a_file_is_none(tmp_path, rows):
    store = write(tmp_path, rows)
    (tmp_path / "episodes" / "influence" / "untrac" / "._news-seed-1.parquet").write_bytes(b"finder")
    assert len(store.rows()) == len(rows)


def test_a_folder_of_the_version_before_goes_on(tmp_path, rows):
    unfinished = ("leave_out", "books", 1)
    final = [row for row in rows if row.final or (row.method, row.corpus, row.seed) != unfinished]
    earlier = [row for row in final if not row.final or (row.method, row.corpus, row.seed) != unfinished]
    store = written_before(tmp_path, earlier)
    assert store.finished_episodes("leave_out") == {(row.corpus, row.seed) for row in rows} - {("books", 1)}
    store.write_episode(*unfinished, episodes(rows)[unfinished])
    assert store.finished_episodes("leave_out") == {(row.corpus, row.seed) for row in rows}
    assert store.rows() == sorted(rows, key=lambda row: row.key)
    store.compact()
    assert equal_tables(read_table(store.path), InfluenceStore(tmp_path).table(), ignore=())
    assert not (tmp_path / ".influence.parquet.previous").exists()
    store.drop_episode("untrac", "corpus", "news", 1)
    assert ("news", 1) not in store.finished_episodes("untrac")
    store.discard("leave_out")
    assert {row.method for row in store.rows()} == {"untrac"}


def test_a_killed_adoption_is_done_again(tmp_path, rows, monkeypatch):
    store = written_before(tmp_path, rows)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.compact()
    assert len(store.rows()) == len(rows)
    store.discard("untrac")
    assert store.rows() == sorted((row for row in rows if row.method == "leave_out"), key=lambda row: row.key)


def test_the_table_alone_counts_where_the_files_were_thrown_away(tmp_path, rows):
    import shutil

    store = write(tmp_path, rows)
    store.compact()
    shutil.rmtree(tmp_path / "episodes")
    assert len(store.rows()) == len(rows)
    assert store.finished_episodes("untrac") == {(row.corpus, row.seed) for row in rows}
    store.write_episode("other", "news", 0, [dataclasses.replace(rows[0], method="other")])
    store.compact()
    assert read_table(store.path).num_rows == len(rows) + 1


def test_what_is_dropped_or_discarded_stays_away(tmp_path, rows):
    store = write(tmp_path, episodes(rows)["untrac", "news", 1])
    store.compact()
    store.drop_episode("untrac", "corpus", "news", 1)
    assert store.rows() == []
    assert not store.path.exists()
    store = write(tmp_path, rows)
    store.compact()
    for method in ("untrac", "leave_out"):
        store.discard(method)
        assert method not in store.table()["method"].to_pylist()
    assert not store.path.exists()


def test_copied_episodes_are_those_of_the_other_folders(tmp_path, rows):
    mine, its = rows[::2], rows[1::2]
    for number, make in enumerate((write, written_before)):
        whole = InfluenceStore(tmp_path / f"whole-{number}")
        for name, half in (("mine", mine), ("its", its)):
            whole.unpack(make(tmp_path / f"{name}-{number}", half).packed())
        expected = rows if make is written_before else its  # each file holds all rows of its episode
        assert whole.rows() == sorted(expected, key=lambda row: row.key)


WRITES_AND_DISCARDS = """
import sys
from lightning_untrac.tables import InfluenceRow, InfluenceStore

store, number = InfluenceStore(sys.argv[1]), int(sys.argv[2])
for turn in range(6):
    rows = [
        InfluenceRow(method=method, corpus="news", test_set="bias", seed=number, step=turn, final=True, influence=0.5)
        for method in (f"gone-{number}", "stays")
    ]
    store.write_episode(f"gone-{number}", "news", number, rows[:1])
    store.append(rows[1:])
    store.discard(f"gone-{number}")
    store.compact()
"""


def test_processes_that_write_discard_and_compact_at_the_same_time(tmp_path):
    command = [sys.executable, "-c", WRITES_AND_DISCARDS, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = InfluenceStore(tmp_path)
    expected = {("stays", "news", "bias", number, turn) for number in range(3) for turn in range(6)}
    assert {row.key for row in store.rows()} == expected
    assert equal_tables(read_table(store.path), store.table(), ignore=())
