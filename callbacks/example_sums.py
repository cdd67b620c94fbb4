"""The loss of each example of a validation, whichever rank has measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch


class ExampleSums:
    """Arrays that a validation fills, 16 bytes an example.

    Args:
        sizes: dataset to its number of examples.

    Attributes:
        loss_sums: dataset to ``[examples]`` float64, nats; 0 where nothing was measured.
        num_tokens: dataset to ``[examples]`` int64 target tokens.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        # Zeros, because each example is measured by one rank and the ranks' arrays are summed.
        self.loss_sums = {name: np.zeros(size) for name, size in sizes.items()}
        self.num_tokens = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}

    def add(self, names: Sequence[str], outputs: Any, batch: Any) -> None:
        """Take over a batch.

        Args:
            names: the datasets, in the order of ``dataset_index``.
            outputs: of ``validation_step``.
            batch: what was measured; rows of filler are passed over.
        """
        which, examples = batch["dataset_index"].cpu().numpy(), batch["example_index"].cpu().numpy()
        sums, counts = outputs["loss_sums"].cpu().numpy(), outputs["num_tokens"].cpu().numpy()
        for index in np.unique(which[which >= 0]):
            rows = which == index
            self.loss_sums[names[index]][examples[rows]] = sums[rows]
            self.num_tokens[names[index]][examples[rows]] = counts[rows]

    def sum_over_ranks(self, trainer: L.Trainer) -> None:
        """Give every rank what all have measured; call it on every rank."""
        if trainer.world_size > 1:
            for arrays in (self.loss_sums, self.num_tokens):
                for name, array in arrays.items():
                    tensor = torch.from_numpy(array).to(trainer.strategy.root_device)
                    total: Any = trainer.strategy.reduce(tensor, reduce_op="sum")
                    arrays[name] = np.asarray(total.cpu().numpy())

    def measured(self, name: str) -> np.ndarray:
        """Indices of a dataset's examples that have target tokens and were measured."""
        return np.flatnonzero(self.num_tokens[name])
