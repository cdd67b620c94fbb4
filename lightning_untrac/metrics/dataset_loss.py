"""The loss of many datasets in one metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_untrac.functional import NUM_PARTS, part_of, sum_by_dataset


class DatasetLosses(NamedTuple):
    """Losses of D datasets, in the order in which the datasets were given.

    Attributes:
        token_loss: ``[D]`` float64, sum of token losses / number of target tokens, nats per token.
        example_loss: ``[D]`` float64, mean over examples of each example's own mean per token.
        num_tokens: ``[D]`` int64 target tokens.
        num_examples: ``[D]`` int64 examples that have at least one target token.
        parts: ``[D, 4, parts]`` float64, of each random part of a dataset's examples the summed loss, the sum of
            example means, the target tokens and the examples; None where they were not kept.
    """

    token_loss: Tensor
    example_loss: Tensor
    num_tokens: Tensor
    num_examples: Tensor
    parts: Tensor | None = None

    def cpu(self) -> DatasetLosses:
        """The same in main memory."""
        return DatasetLosses(*(None if values is None else values.cpu() for values in self))  # type: ignore[arg-type]

    def as_lists(self) -> list[Any]:
        """Plain lists, for a checkpoint."""
        return [None if values is None else values.tolist() for values in self]

    @classmethod
    def of_lists(cls, lists: Sequence[Any]) -> DatasetLosses:
        """From plain lists, in the order of the fields; the parts may be missing."""
        dtypes = (torch.float64, torch.float64, torch.int64, torch.int64, torch.float64)
        pairs = zip(lists, dtypes, strict=False)
        return cls(*(None if values is None else torch.tensor(values, dtype=dtype) for values, dtype in pairs))  # type: ignore[arg-type]


class DatasetLoss(Metric):
    """Loss of each of several datasets, from examples of all of them in any order and any batching.

    One metric with a vector state, not a ``MetricCollection`` with a metric a dataset: its compute groups merge metrics
    whose first batches look alike (torchmetrics #2596), and one vector is one gather. Sums are float64 and counts are
    int64, so that the value does not change with batch size, padding or the number of ranks beyond the last bits of
    float64. A dataset without target tokens has the loss NaN.

    Sums are kept for each of ``NUM_PARTS`` random parts of a dataset: what chance in the choice of its examples
    does to a loss, and to the difference of two on the same examples, can be drawn from them later.

    Args:
        num_datasets: D.

    Example:
        >>> metric = DatasetLoss(2)
        >>> metric.update(torch.tensor([2.0, 4.0, 3.0]), torch.tensor([1, 3, 2]), torch.tensor([0, 0, 1]),
        ...               torch.tensor([0, 1, 0]))
        >>> losses = metric.losses()
        >>> losses.token_loss.tolist(), [round(x, 3) for x in losses.example_loss.tolist()], losses.parts.shape
        ([1.5, 1.5], [1.667, 1.5], torch.Size([2, 4, 64]))
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    loss_sums: Tensor
    example_mean_sums: Tensor
    num_tokens: Tensor
    num_examples: Tensor

    def __init__(self, num_datasets: int) -> None:
        super().__init__()
        self.num_datasets = num_datasets
        zeros = torch.zeros(num_datasets, NUM_PARTS, dtype=torch.float64)
        counts = torch.zeros(num_datasets, NUM_PARTS, dtype=torch.int64)
        self.add_state("loss_sums", zeros, dist_reduce_fx="sum")
        self.add_state("example_mean_sums", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("num_tokens", counts, dist_reduce_fx="sum")
        self.add_state("num_examples", counts.clone(), dist_reduce_fx="sum")

    def update(
        self, loss_sums: Tensor, num_tokens: Tensor, dataset_index: Tensor, example_index: Tensor | None = None
    ) -> None:
        """Add a batch.

        Args:
            loss_sums: ``[batch]`` summed token loss of each example, nats.
            num_tokens: ``[batch]`` int64 target tokens of each example.
            dataset_index: ``[batch]`` int64 in ``[0, D)``; -1 for filler that counts nowhere.
            example_index: ``[batch]`` int64, which example of its dataset; decides the part that it counts in. Without,
                all count in one, from which nothing about chance can be told.
        """
        loss_sums = loss_sums.double()
        means = torch.where(num_tokens > 0, loss_sums / num_tokens.clamp(min=1), 0.0)
        part = torch.zeros_like(dataset_index) if example_index is None else part_of(example_index)
        cell = torch.where(dataset_index < 0, -1, dataset_index * NUM_PARTS + part)
        self.loss_sums += self._by_part(loss_sums, cell)
        self.example_mean_sums += self._by_part(means, cell)
        self.num_tokens += self._by_part(num_tokens, cell)
        self.num_examples += self._by_part((num_tokens > 0).long(), cell)

    def _by_part(self, values: Tensor, cell: Tensor) -> Tensor:
        return sum_by_dataset(values, cell, self.num_datasets * NUM_PARTS).view(self.num_datasets, NUM_PARTS)

    def compute(self) -> DatasetLosses:
        """Losses of everything seen so far, over all ranks."""
        num_tokens, num_examples = self.num_tokens.sum(dim=1), self.num_examples.sum(dim=1)
        parts = (self.loss_sums, self.example_mean_sums, self.num_tokens.double(), self.num_examples.double())
        return DatasetLosses(
            token_loss=self.loss_sums.sum(dim=1) / num_tokens,
            example_loss=self.example_mean_sums.sum(dim=1) / num_examples,
            num_tokens=num_tokens,
            num_examples=num_examples,
            parts=torch.stack(parts, dim=1),
        )

    def losses(self) -> DatasetLosses:
        """:meth:`compute`, always with vectors: torchmetrics makes scalars of the vectors of a single dataset."""
        found = self.compute()
        token_loss, example_loss, num_tokens, num_examples = (values.reshape(-1) for values in found[:4])
        return DatasetLosses(token_loss, example_loss, num_tokens, num_examples, found.parts)
