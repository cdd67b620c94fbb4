"""The documents of a dataset as token ids, for rivals that read texts and no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.data.loading import some_of


def documents(run: ScoringRun, name: str) -> Iterator[np.ndarray]:
    """Token ids of a dataset's documents; an encoder-decoder's source and target are two.

    Args:
        run: its ``max_examples`` bounds how many are read, drawn once.
        name: of a corpus or test set.
    """
    dataset = run.data.tokenized_corpora.get(name) or run.data.tokenized_test_sets[name]
    drawn = some_of(dataset, run.max_examples)
    two_parts = dataset.input_ids.offsets is not dataset.labels.offsets
    for index in range(len(dataset)) if drawn is None else drawn:
        example = dataset[int(index)]
        yield example["input_ids"]
        if two_parts:
            yield example["labels"][example["labels"] >= 0]


def tokenizer_of(run: ScoringRun) -> Any:
    """The tokenizer that made the ids."""
    return run.build_module().tokenizer
