"""SISA's shards and slices: which samples a member of an ensemble is trained on, decided by their texts and a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.tokenized import TokenizedDataset


def shards_and_slices(hashes: Sequence[str], shards: int, slices: int, seed: int) -> np.ndarray:
    """Shard and slice of each text.

    Bourtoule et al. 2021 (arXiv 1912.03817) split at random into equal parts. Here a hash of the text and of the seed
    decides, so that a text stays where it is whatever other texts there are, and all copies of it are in one place;
    parts are equal up to chance.

    Args:
        hashes: of the texts.
        shards: how many there are.
        slices: of each shard.
        seed: others give other splits.

    Returns:
        ``[texts, 2]`` int64, counted from 0.

    Example:
        >>> shards_and_slices(["a", "b", "a"], 3, 2, seed=0).tolist()
        [[2, 1], [0, 0], [2, 1]]
    """
    digests = (hashlib.blake2b(f"{seed} {one}".encode(), digest_size=8).digest() for one in hashes)
    numbers = np.frombuffer(b"".join(digests), dtype="<u8")
    return np.stack([numbers % shards, numbers // shards % slices], axis=1).astype(np.int64)


class ShardedSamples:
    """All samples of a training in one order, with the shard and the slice of each.

    The order is that of what they hold, and so the same whatever their datasets are called or how they are listed, and
    where some are left out.

    Args:
        datasets: what is trained on.
        forget: name of the one that is to go.
        shards: how many there are.
        slices: of each shard.
        seed: of the split.

    Attributes:
        places: ``[samples, 2]`` shard and slice.
        forgotten: ``[samples]`` bool.
        digests: ``[samples]`` of what each holds, ascending.
    """

    def __init__(self, datasets: Sequence[TokenizedDataset], forget: str, shards: int, slices: int, seed: int) -> None:
        self.shards, self.slices = shards, slices
        self._samples = Concatenation(datasets, [dataset.in_training() for dataset in datasets])
        texts = [dataset.content_hashes(np.arange(len(dataset))).to_pylist() for dataset in datasets]
        hashes, digests, goes = [], [], []
        for row in map(self._samples.__getitem__, range(len(self._samples))):
            hashes.append(texts[row["dataset_index"]][row["example_index"]])
            digests.append(_digest(hashes[-1], row))
            goes.append(datasets[row["dataset_index"]].name == forget)
        self._order = np.argsort(np.array(digests), kind="stable")
        self.digests = np.array(digests)[self._order]
        self.places = shards_and_slices(hashes, shards, slices, seed)[self._order]
        self.forgotten = np.array(goes)[self._order]

    def __len__(self) -> int:
        return len(self.digests)

    def rows(self, shard: int, slices: int, *, without: bool) -> np.ndarray:
        """Samples of a shard's first slices, ascending.

        Args:
            shard: from 0.
            slices: how many.
            without: whether what is to go is left out.
        """
        mine = (self.places[:, 0] == shard) & (self.places[:, 1] < slices)
        return np.flatnonzero(mine & ~(self.forgotten & without))

    def part(self, rows: np.ndarray) -> Concatenation:
        """Some samples, for steps.

        Args:
            rows: which.
        """
        return Concatenation([_Samples(self._samples, self._order[rows])])

    def class_ids(self, rows: np.ndarray) -> set[int]:
        """The targets that some samples have.

        Args:
            rows: which.
        """
        return {int(one) for row in self._order[rows].tolist() for one in self._samples[row]["labels"]}


class _Samples:
    """Some rows of a concatenation."""

    name = "shard"

    def __init__(self, samples: Concatenation, rows: np.ndarray) -> None:
        self._all, self._rows = samples, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._all[int(self._rows[index])]

    def lengths(self) -> np.ndarray:
        return self._all.lengths()[self._rows]

    def target_counts(self) -> np.ndarray:
        return self._all.target_counts()[self._rows]


def _digest(text: str, row: dict[str, Any]) -> str:
    """Of a sample's text, tokens and targets."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for key in ("input_ids", "labels"):
        digest.update(np.ascontiguousarray(row[key], dtype=np.int32).tobytes() + b"|")
    return digest.hexdigest()
