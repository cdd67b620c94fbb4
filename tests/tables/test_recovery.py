"""Damaged files make way; what they held is made again, or is no longer called finished."""

import pytest

from lightning_untrac.tables import InfluenceStore, read_table
from lightning_untrac.tables.recovery import recover

FILE = "episodes/influence/untrac/news-seed-1.parquet"


@pytest.fixture
def store(tmp_path, rows):
    store = InfluenceStore(tmp_path)
    for corpus, seed in {(row.corpus, row.seed) for row in rows}:
        its = [row for row in rows if (row.method, row.corpus, row.seed) == ("untrac", corpus, seed)]
        store.write_episode("untrac", corpus, seed, its)
    store.compact()
    return store


def flip(path):
    content = bytearray(path.read_bytes())
    content[100:164] = bytes(byte ^ 1 for byte in content[100:164])
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("harm", [flip, cut])
def test_a_damaged_table_is_made_again(store, harm):
    before = store.path.read_bytes()
    harm(store.path)
    content = store.path.read_bytes()
    assert len(store.rows()) == 40
    (damage,), lost = recover(store)
    assert "it was made again from the files of episodes" in damage
    assert store.path.with_name("influence.parquet.damaged").read_bytes() == content
    assert store.path.read_bytes() == before
    assert store.path in lost  # nobody knows what it held
    assert recover(store) == ([], {store.examples_path})


@pytest.mark.parametrize("harm", [flip, cut])
@pytest.mark.parametrize("compacted", [True, False])
def test_the_episode_of_a_damaged_file_is_not_finished(store, harm, compacted):
    path = store.folder / FILE
    if not compacted:
        store.path.unlink()
    harm(path)
    (damage,), lost = recover(store)
    assert f"{path} was damaged" in damage
    assert "it is kept as news-seed-1.parquet.damaged;" in damage
    assert path.with_name("news-seed-1.parquet.damaged").is_file()
    assert "computed anew" in damage
    assert store.path in lost
    assert len(store.finished_episodes("untrac")) == 9
    assert read_table(store.path).num_rows == 36
    assert recover(store) == ([], {store.examples_path})


def test_all_files_are_damaged(store):
    for path in store.folder.glob("episodes/*/*/*.parquet"):
        flip(path)
    damages, lost = recover(store)
    assert len(damages) == 10
    assert store.rows() == []
    assert lost == {store.path, store.examples_path}


def test_a_file_that_is_gone_is_no_damage(store):
    (store.folder / FILE).unlink()
    assert recover(store) == ([], {store.path, store.examples_path})
    assert read_table(store.path).num_rows == 36


def test_a_damaged_table_of_the_version_before_is_computed_anew(tmp_path):
    store = InfluenceStore(tmp_path)
    for number in ("", "-2"):
        store.path.write_bytes(b"PAR1 and no more")
        (damage,), lost = recover(store)
        assert "what it held is computed anew" in damage
        assert f"it is kept as influence.parquet.damaged{number};" in damage
        assert store.path in lost
    assert store.rows() == []


def test_an_episode_that_was_not_compacted_is(store, rows):
    its = [row for row in rows if (row.method, row.corpus, row.seed) == ("leave_out", "news", 1)]
    store.write_episode("leave_out", "news", 1, its)
    assert recover(store) == ([], {store.examples_path})
    assert read_table(store.path).num_rows == 44
