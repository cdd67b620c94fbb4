"""SISA's shards and slices: a partition by texts alone."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from lightning_untrac import CorpusDataModule, DatasetConfig, LanguageModule
from lightning_untrac.data.shards import ShardedSamples, shards_and_slices

SHARDS, SLICES = 3, 2
MODEL = LanguageModule(config={"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1}, tokenizer="byte")
TEXTS = {"a": [f"gull {n}" for n in range(40)], "b": [f"mast {n}" for n in range(25)] + ["gull 3", "mast 1"]}


@pytest.fixture
def samples(tmp_path: Path, cache_folder: str):
    def of(texts: dict[str, list[str]], forget: str = "b", **options: int) -> tuple[ShardedSamples, CorpusDataModule]:
        configs = []
        for name, rows in texts.items():
            path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
            configs.append(DatasetConfig(str(path), name, **options))
        data = CorpusDataModule(configs, cache_folder=cache_folder)
        data.prepare(MODEL)
        datasets = [data.tokenized[name] for name in sorted(texts)]
        return ShardedSamples(datasets, forget, SHARDS, SLICES, seed=0), data

    return of


def held(found: ShardedSamples, shard: int, slices: int, *, without: bool) -> list[str]:
    """What is stepped on, in its order."""
    part = found.part(found.rows(shard, slices, without=without))
    return [MODEL.tokenizer.decode(part[index]["input_ids"], skip_special_tokens=True) for index in range(len(part))]


def test_places_are_of_the_text_and_the_seed() -> None:
    texts = [f"{number:016x}" for number in range(3000)]
    places = shards_and_slices(texts, 5, 3, seed=1)
    assert shards_and_slices(texts[::-1], 5, 3, seed=1)[::-1].tolist() == places.tolist()
    assert shards_and_slices(texts[:7], 5, 3, seed=1).tolist() == places[:7].tolist()
    assert (shards_and_slices(texts, 5, 3, seed=2) != places).any(axis=1).mean() > 0.8
    counts = np.bincount(places[:, 0] * 3 + places[:, 1], minlength=15)
    assert abs(counts - 200).max() < 5 * np.sqrt(200)  # five standard deviations


def test_shards_and_slices_are_a_partition(samples) -> None:
    found, _ = samples(TEXTS)
    every = sorted(TEXTS["a"] + TEXTS["b"])
    assert sorted(text for shard in range(SHARDS) for text in held(found, shard, SLICES, without=False)) == every
    for shard in range(SHARDS):
        first, both = (set(held(found, shard, slices, without=False)) for slices in (1, 2))
        assert first < both
    kept = sorted(text for shard in range(SHARDS) for text in held(found, shard, SLICES, without=True))
    assert kept == sorted(TEXTS["a"])
    # Copies of a text stand together.
    homes = [shard for shard in range(SHARDS) if "gull 3" in held(found, shard, SLICES, without=False)]
    assert len(homes) == 1
    assert held(found, homes[0], SLICES, without=False).count("gull 3") == 2


def test_names_and_order_of_datasets_make_no_difference(samples) -> None:
    found, _ = samples(TEXTS)
    rows = [text for texts in TEXTS.values() for text in texts]
    random.Random(0).shuffle(rows)
    other, _ = samples({"z": rows[:9], "c": rows[9:30], "k": rows[30:]}, forget="z")
    alone, _ = samples({"only": TEXTS["a"]}, forget="none")
    for shard in range(SHARDS):
        for slices in range(1, SLICES + 1):
            assert held(other, shard, slices, without=False) == held(found, shard, slices, without=False)
            assert held(alone, shard, slices, without=False) == held(found, shard, slices, without=True)


def test_copies_count(samples) -> None:
    found, _ = samples({"a": TEXTS["a"]}, forget="none", copies=3)
    for shard in range(SHARDS):
        texts = held(found, shard, SLICES, without=False)
        assert {texts.count(text) for text in texts} == {3}
