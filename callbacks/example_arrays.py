"""Numbers of each example of a validation, whichever rank has measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor

from lightning_untrac.metrics import Measure
from lightning_untrac.metrics.measure import Measured


class ExampleArrays:
    """Arrays that a validation fills, 8 bytes an example and column.

    Args:
        sizes: dataset to its number of examples.
        columns: names of the numbers that an example has.

    Attributes:
        arrays: column to dataset to ``[examples]`` float64; 0 where nothing was measured.
    """

    def __init__(self, sizes: Mapping[str, int], columns: Sequence[str]) -> None:
        # Zeros, because each example is measured by one rank and the ranks' arrays are summed.
        self.arrays = {column: {name: np.zeros(size) for name, size in sizes.items()} for column in columns}
        self._summed = self._settled = False

    @classmethod
    def of_measures(cls, names: Sequence[str], data: Any = None) -> ExampleArrays:
        """Arrays of ``<name>/value`` and ``<name>/weight``.

        Args:
            names: of measures, or of other numbers that come with a weight.
            data: the DataModule whose evaluated datasets are read; None before there is one.
        """
        parts = () if data is None else zip(data.evaluation_names, map(len, data.evaluation_data().parts), strict=True)
        return cls(dict(parts), [f"{name}/{part}" for name in names for part in Measured._fields])

    def add_measured(self, names: Sequence[str], measured: Mapping[str, Measured], batch: Any) -> None:
        """Take over a batch of :meth:`of_measures`.

        Args:
            names: the datasets, in the order of ``dataset_index``.
            measured: name to what was measured.
            batch: what was measured; rows of filler are passed over.
        """
        columns = {f"{name}/{part}": getattr(said, part) for name, said in measured.items() for part in said._fields}
        self.add(names, columns, batch)

    def add(self, names: Sequence[str], measured: Mapping[str, Tensor], batch: Any) -> None:
        """Take over a batch.

        Args:
            names: the datasets, in the order of ``dataset_index``.
            measured: column to ``[batch]``.
            batch: what was measured; rows of filler are passed over.
        """
        which, examples = batch["dataset_index"].cpu().numpy(), batch["example_index"].cpu().numpy()
        for column, arrays in self.arrays.items():
            values = measured[column].double().cpu().numpy()
            for index in np.unique(which[which >= 0]):
                rows = which == index
                arrays[names[index]][examples[rows]] = values[rows]

    def sum_over_ranks(self, trainer: L.Trainer) -> None:
        """Give every rank what all have measured, once a validation; call it on every rank."""
        if trainer.world_size > 1 and not self._summed:
            for arrays in self.arrays.values():
                for name, array in arrays.items():
                    tensor = torch.from_numpy(array).to(trainer.strategy.root_device)
                    total: Any = trainer.strategy.reduce(tensor, reduce_op="sum")
                    arrays[name] = np.asarray(total.cpu().numpy())
        self._summed = True

    def settle(self, trainer: L.Trainer, measures: Sequence[Measure]) -> None:
        """Give every rank what all have measured, and each measure the last word on it, once; call it on every rank.

        Args:
            trainer: with the data that were read.
            measures: whose columns are ``<measure>/value`` and ``<measure>/weight``.
        """
        self.sum_over_ranks(trainer)
        if self._settled:
            return
        self._settled = True
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        asked = any("unseen" in measure.needs for measure in measures)
        unseen = {name: data.unseen_names(name) for name in data.evaluation_names} if asked else {}
        for measure in measures:
            value, weight = (f"{measure.name}/{part}" for part in ("value", "weight"))
            found = measure.settle(self.arrays[value], self.arrays[weight], unseen)
            self.arrays[value], self.arrays[weight] = found
