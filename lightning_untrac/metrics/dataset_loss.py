"""The loss of many datasets in one metric."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_untrac.functional import sum_by_dataset


class DatasetLosses(NamedTuple):
    """Losses of D datasets, in the order in which the datasets were given.

    Attributes:
        token_loss: ``[D]`` float64, sum of token losses / number of target tokens, nats per token.
        example_loss: ``[D]`` float64, mean over examples of each example's own mean per token.
        num_tokens: ``[D]`` int64 target tokens.
        num_examples: ``[D]`` int64 examples that have at least one target token.
    """

    token_loss: Tensor
    example_loss: Tensor
    num_tokens: Tensor
    num_examples: Tensor


class DatasetLoss(Metric):
    """Loss of each of several datasets, from examples of all of them in any order and any batching.

    One metric with a vector state, not a ``MetricCollection`` with a metric a dataset: its compute groups merge metrics
    whose first batches look alike (torchmetrics #2596), and one vector is one gather. Sums are float64 and counts are
    int64, so that the value does not change with batch size, padding or the number of ranks beyond the last bits of
    float64. A dataset without target tokens has the loss NaN.

    Args:
        num_datasets: D.

    Example:
        >>> metric = DatasetLoss(2)
        >>> metric.update(torch.tensor([2.0, 4.0, 3.0]), torch.tensor([1, 3, 2]), torch.tensor([0, 0, 1]))
        >>> losses = metric.losses()
        >>> losses.token_loss.tolist(), [round(x, 3) for x in losses.example_loss.tolist()]
        ([1.5, 1.5], [1.667, 1.5])
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
        zeros = torch.zeros(num_datasets, dtype=torch.float64)
        counts = torch.zeros(num_datasets, dtype=torch.int64)
        self.add_state("loss_sums", zeros, dist_reduce_fx="sum")
        self.add_state("example_mean_sums", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("num_tokens", counts, dist_reduce_fx="sum")
        self.add_state("num_examples", counts.clone(), dist_reduce_fx="sum")

    def update(self, loss_sums: Tensor, num_tokens: Tensor, dataset_index: Tensor) -> None:
        """Add a batch.

        Args:
            loss_sums: ``[batch]`` summed token loss of each example, nats.
            num_tokens: ``[batch]`` int64 target tokens of each example.
            dataset_index: ``[batch]`` int64 in ``[0, D)``; -1 for filler that counts nowhere.
        """
        loss_sums = loss_sums.double()
        means = torch.where(num_tokens > 0, loss_sums / num_tokens.clamp(min=1), 0.0)
        self.loss_sums += sum_by_dataset(loss_sums, dataset_index, self.num_datasets)
        self.example_mean_sums += sum_by_dataset(means, dataset_index, self.num_datasets)
        self.num_tokens += sum_by_dataset(num_tokens, dataset_index, self.num_datasets)
        self.num_examples += sum_by_dataset((num_tokens > 0).long(), dataset_index, self.num_datasets)

    def compute(self) -> DatasetLosses:
        """Losses of everything seen so far, over all ranks."""
        return DatasetLosses(
            token_loss=self.loss_sums / self.num_tokens,
            example_loss=self.example_mean_sums / self.num_examples,
            num_tokens=self.num_tokens.clone(),
            num_examples=self.num_examples.clone(),
        )

    def losses(self) -> DatasetLosses:
        """:meth:`compute`, always with vectors: torchmetrics makes scalars of the vectors of a single dataset."""
        return DatasetLosses(*(values.reshape(-1) for values in self.compute()))
