import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import (
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
from lightning_untrac.tables.files import check_table, write_tables


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


def test_equal_tables_ignores_timings_only(tmp_path, rows):
    import dataclasses

    a, b, c = (InfluenceStore(tmp_path / name) for name in "abc")
    a.append(rows)
    b.append(dataclasses.replace(r, seconds=r.seconds + 1) for r in rows)
    c.append([dataclasses.replace(rows[0], influence=rows[0].influence + 1e-16 + 1e-12), *rows[1:]])
    assert equal_tables(a.table(), b.table())
    assert not equal_tables(a.table(), b.table(), ignore=())
    assert not equal_tables(a.table(), c.table())


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


def test_check_writable(tmp_path):
    folder = check_writable(tmp_path / "new" / "folder", min_free_mb=0.001)
    assert list(tmp_path.iterdir()) == []  # neither the folder nor the probe
    with pytest.raises(ResultsError, match="MB are free"):
        check_writable(folder, min_free_mb=1e15)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        check_writable(tmp_path / "file")
    with pytest.raises(ResultsError, match="cannot be written"):
        check_writable(tmp_path / "file" / "folder")


def test_a_table_that_one_command_makes_says_which(tmp_path):
    (tmp_path / "comparison.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match="run `untrac compare` again"):
        read_table(tmp_path / "comparison.parquet")


@pytest.fixture
def table(rows):
    return pa.Table.from_pylist([row.as_dict() for row in rows], schema=INFLUENCE_SCHEMA)


def test_equal_tables_sees_content_and_nothing_else():
    table = pa.table({"a": [1.0, None, float("nan")], "b": ["x", None, "yz"], "c": [True, None, False]})
    padded = pa.concat_tables([pa.table({"a": [5.0], "b": ["q"], "c": [True]}), table])
    assert equal_tables(padded.slice(1), table)
    changed = [
        table.slice(0, 2),
        table.set_column(0, "a", pa.array([1.0, 0.0, float("nan")])),
        table.set_column(0, "a", pa.array([1.0, None, -float("nan")]).cast(pa.float32())),
        table.set_column(1, "b", pa.array(["x", "", "yz"])),
        table.set_column(1, "b", pa.array(["xy", None, "z"])),
        table.rename_columns(["a", "b", "d"]),
    ]
    assert not any(equal_tables(table, other) for other in changed)
    zeros = [pa.table({"a": [zero]}) for zero in (0.0, -0.0)]
    assert not equal_tables(*zeros)


def test_damage_is_seen_and_said(tmp_path, table):
    path = tmp_path / "influence.parquet"
    write_table(path, table)
    good = path.read_bytes()
    for damaged in (good[: len(good) // 2], good[:-1], b"PAR1", b""):
        path.write_bytes(damaged)
        for read in (read_table, check_table):
            with pytest.raises(ResultsError, match=r"influence\.parquet cannot be read.*run the same command again"):
                read(path)
    pq.write_table(table, path)
    with pytest.raises(ResultsError, match="not written by untrac"):
        read_table(path)


def test_any_flipped_bit_is_seen_or_changes_nothing(tmp_path, table):
    path = tmp_path / "influence.parquet"
    write_table(path, table)
    good = path.read_bytes()
    seen = 0
    for position in range(0, len(good), 13):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1 << position % 8]) + good[position + 1 :])
        try:
            found = read_table(path)
        except ResultsError:
            seen += 1
        else:  # bytes that say nothing about the rows
            assert equal_tables(found.cast(table.schema), table, ignore=())
    assert seen > len(good) / 13 / 2


def test_a_table_of_an_earlier_version_is_read(tmp_path, table):
    """It carries a checksum of its own, and none in its pages."""
    path = tmp_path / "influence.parquet"
    pq.write_table(table.replace_schema_metadata({"untrac.sha256": "0" * 64}), path)
    assert equal_tables(read_table(path), table, ignore=())


def test_a_table_in_parts_is_the_table(tmp_path, table):
    parts = [table.slice(start, 7) for start in range(0, table.num_rows, 7)]
    write_tables(tmp_path / "t.parquet", table.schema, iter(parts), {b"untrac.more": json.dumps([1]).encode()})
    assert equal_tables(read_table(tmp_path / "t.parquet"), table, ignore=())
    write_tables(tmp_path / "none.parquet", table.schema, [])
    assert read_table(tmp_path / "none.parquet").equals(table.schema.empty_table())
