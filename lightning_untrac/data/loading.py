"""The loader's two halves: one indexable over several datasets, and a DataLoader that knows where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from lightning_untrac.data.sampling import FILLER
from lightning_untrac.functional import IGNORE_INDEX


class Examples(Protocol):
    """Tokenised examples or packed blocks."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]: ...

    def lengths(self) -> np.ndarray:
        """Tokens of each example."""
        ...

    def target_counts(self) -> np.ndarray:
        """Target tokens of each example."""
        ...


class Concatenation(Dataset[dict[str, Any]]):
    """Several datasets after one another; every row says where it came from, and index -1 is filler.

    Args:
        parts: the datasets, in the order of ``dataset_index``.
        chosen: of each part, the indices that count, or None for all of them; None for all of every part.

    Attributes:
        sizes: rows of each part.
    """

    def __init__(self, parts: Sequence[Examples], chosen: Sequence[np.ndarray | None] | None = None) -> None:
        self.parts = list(parts)
        self.chosen = list(chosen) if chosen is not None else [None] * len(self.parts)
        self.sizes = [
            len(part) if indices is None else len(indices)
            for part, indices in zip(self.parts, self.chosen, strict=True)
        ]
        self.ends = np.cumsum(self.sizes)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == FILLER:
            row = self.parts[0][0]
            ignored = np.full_like(row["labels"], IGNORE_INDEX)
            return {"input_ids": row["input_ids"], "labels": ignored, "dataset_index": FILLER, "example_index": FILLER}
        which = int(np.searchsorted(self.ends, index, side="right"))
        within = index - (int(self.ends[which - 1]) if which else 0)
        indices = self.chosen[which]
        example = within if indices is None else int(indices[within])
        return {**self.parts[which][example], "dataset_index": which, "example_index": example}

    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return self._of_each([part.lengths() for part in self.parts])

    def target_counts(self) -> np.ndarray:
        """Target tokens of each row; filler, which has none, stands at the end, where index -1 finds it."""
        return np.append(self._of_each([part.target_counts() for part in self.parts]), 0)

    def _of_each(self, values: Sequence[np.ndarray]) -> np.ndarray:
        chosen = [v if indices is None else v[indices] for v, indices in zip(values, self.chosen, strict=True)]
        return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)


def some_of(part: Examples, count: int | None) -> np.ndarray | None:
    """Indices of ``count`` examples, drawn once for all; None for all of them."""
    if count is None or len(part) <= count:
        return None
    return np.sort(np.random.default_rng(0).permutation(len(part))[:count])


class EpisodeDataLoader(DataLoader[Any]):
    """A DataLoader whose position Lightning saves in its checkpoints and restores, so that no batch is seen twice.

    Its batch sampler has a ``start_batch``, from which the next iteration begins.
    """

    _served = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._served = self.batch_sampler.start_batch  # type: ignore[union-attr]
        for batch in super().__iter__():
            self._served += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches were served; 0 at the end, where the next iteration is a new episode."""
        return {"served_batches": self._served % max(1, len(self))}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Begin the next iteration where the saved one stopped."""
        self.batch_sampler.start_batch = state_dict["served_batches"]  # type: ignore[union-attr]
