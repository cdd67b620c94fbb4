import os

import pyarrow as pa
import pytest

from lightning_untrac.data import DatasetConfig
from lightning_untrac.data.arrow_cache import DamagedCacheWarning, cached_table, clear_cache
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.sources import expand
from lightning_untrac.data.tokenization import tokenize

SCHEMA = pa.schema({"ids": pa.list_(pa.int32()), "text": pa.string()})
BATCH = pa.record_batch([pa.array([[1, 2], [3]], SCHEMA.field("ids").type), pa.array(["é", None])], schema=SCHEMA)


@pytest.fixture
def cache(tmp_path):
    calls = []

    def table():
        def make():
            calls.append(1)
            yield BATCH
            yield BATCH

        return cached_table(tmp_path / "below" / "rows-x.arrow", make, SCHEMA)

    table.path, table.calls = tmp_path / "below" / "rows-x.arrow", calls
    return table


def test_what_is_read_is_what_was_made_and_made_once(cache):
    first, second = cache(), cache()
    assert first.equals(second)
    assert first.to_pylist() == BATCH.to_pylist() * 2
    assert len(cache.calls) == 1
    assert [file.name for file in cache.path.parent.iterdir()] == [cache.path.name]


def damaged(content):
    """The file with each byte changed in one bit, cut at each length, and as something else."""
    for place in range(len(content)):
        yield content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :]
    for length in {0, 1, 39, 40, 41, len(content) // 2, len(content) - 1}:
        yield content[:length]
    yield from (b"nonsense", b"\0" * len(content), content + b"x", content * 2, os.urandom(len(content)))


def test_every_kind_of_damage_is_noticed_and_mended(cache):
    good = cache()
    content = cache.path.read_bytes()
    kinds = list(damaged(content))
    assert len(kinds) > 500
    for bad in kinds:
        cache.path.write_bytes(bad)
        with pytest.warns(DamagedCacheWarning, match="was damaged and has been made again"):
            assert cache().equals(good)
        assert cache.path.read_bytes() == content
    assert len(cache.calls) == len(kinds) + 1


def test_a_file_of_other_columns_is_made_again(cache):
    cache()
    content = cache.path.read_bytes()
    other = cache.path.with_name("rows-other.arrow")
    cached_table(other, lambda: [pa.record_batch({"ids": [1]})], pa.schema({"ids": pa.int64()}))
    os.replace(other, cache.path)
    with pytest.warns(DamagedCacheWarning):
        cache()
    assert cache.path.read_bytes() == content


def test_a_failure_leaves_nothing_behind(tmp_path):
    def broken():
        yield BATCH
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        cached_table(tmp_path / "rows-x.arrow", broken, SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_rows_and_tokens_of_a_damaged_cache_are_the_same_again(tmp_path, byte_tokenizer):
    folder = tmp_path / "cache"
    (tmp_path / "a.jsonl").write_text('{"text": "heron reed"}\n{"text": "wren"}\n')

    def tokens():
        ((config, rows),) = expand([DatasetConfig(str(tmp_path / "a.jsonl"), name="a")], folder)
        data = tokenize(config, rows, byte_tokenizer, TokenizationConfig(), folder)
        return data.fingerprint, [data[i]["labels"].tolist() for i in range(len(data))]

    good = tokens()
    for prefix in ("rows-", "tokens-"):
        (file,) = folder.glob(f"{prefix}*.arrow")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
        with pytest.warns(DamagedCacheWarning):
            assert tokens() == good
    assert tokens() == good
    (folder / "thesis.arrow").write_text("mine")
    (folder / ".tokens-a.arrow.1.tmp").write_text("left by a process that was killed")
    clear_cache(folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.arrow"]
