"""The loss: negative log-likelihood in nats, summed over target tokens and counted exactly.

Every mean of this project is one sum divided by one count, never a mean of means: a dataset's loss then does not
depend on how its examples were batched, padded or spread over ranks.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_untrac.functional.token_losses import IGNORE_INDEX, token_losses


def shift_labels_left(labels: Tensor) -> Tensor:
    """Align labels with the logits of a causal model, whose position ``t`` predicts token ``t + 1``.

    Moving the labels instead of slicing the logits avoids a copy of the largest tensor of the step.

    Args:
        labels: ``[batch, length]`` int64 token ids, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``[batch, length]`` int64; the last column is ignored.

    Example:
        >>> shift_labels_left(torch.tensor([[5, 6, 7]])).tolist()
        [[6, 7, -100]]
    """
    return F.pad(labels[:, 1:], (0, 1), value=IGNORE_INDEX)


def token_loss_sum(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the target tokens' negative log-likelihoods, in nats, and their number.

    Args:
        logits: ``[batch, length, vocabulary]``, any float dtype; the log-softmax is taken in float32, or in float64 for
            float64 logits.
        targets: ``[batch, length]`` int64, aligned with ``logits``, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        A differentiable scalar, and an int64 scalar.

    Example:
        >>> total, count = token_loss_sum(torch.zeros(1, 2, 4), torch.tensor([[0, 3]]))
        >>> round(total.item(), 4), count.item()
        (2.7726, 2)
    """
    counted = targets.flatten() != IGNORE_INDEX
    losses = token_losses(logits.flatten(0, 1), targets.flatten())
    # The sum of cross entropy's own kernel, in its order: each token has one log-probability to choose from.
    total = F.nll_loss(-losses.unsqueeze(1), torch.where(counted, 0, IGNORE_INDEX), reduction="sum")
    return total, counted.sum()


def mean_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood per target token, in nats, differentiable.

    Args:
        logits: see :func:`token_loss_sum`.
        targets: see there.

    Returns:
        A scalar; 0 (with a zero gradient) where there is no target at all, so that a rank whose share of a
        batch is empty can still take part in the backward pass.

    Example:
        >>> round(mean_token_loss(torch.zeros(1, 2, 4), torch.tensor([[0, 3]])).item(), 4)  # uniform: ln 4
        1.3863
    """
    total, count = token_loss_sum(logits, targets)
    return total / count.clamp(min=1)


def example_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Loss sum and target count of each example.

    Args:
        logits: ``[batch, length, vocabulary]``, any float dtype; the log-softmax is taken in float32, or in float64 for
            float64 logits.
        targets: ``[batch, length]`` int64, aligned with ``logits``, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``loss_sums`` (``[batch]`` float64, nats) and ``num_tokens`` (``[batch]`` int64).

    Example:
        >>> sums, counts = example_losses(torch.zeros(2, 2, 4), torch.tensor([[0, 3], [1, -100]]))
        >>> [round(s, 4) for s in sums.tolist()], counts.tolist()
        ([2.7726, 1.3863], [2, 1])
    """
    losses = token_losses(logits.flatten(0, 1), targets.flatten()).view_as(targets)
    return losses.double().sum(dim=1), (targets != IGNORE_INDEX).sum(dim=1)


def sum_by_dataset(values: Tensor, dataset_index: Tensor, num_datasets: int) -> Tensor:
    """Sum one value an example into one value a dataset.

    A product with the membership matrix rather than ``index_add_``, whose order on a GPU differs from run to run.

    Args:
        values: ``[batch]`` float64 or int64.
        dataset_index: ``[batch]`` int64 in ``[0, num_datasets)``; examples with any other index (-1 marks the
            filler that makes every rank's batches equally many) belong to no dataset.
        num_datasets: how many sums to return.

    Returns:
        ``[num_datasets]`` of the dtype of ``values``.

    Example:
        >>> sum_by_dataset(torch.tensor([1, 2, 4]), torch.tensor([1, -1, 1]), 2).tolist()
        [0, 5]
    """
    datasets = torch.arange(num_datasets, device=dataset_index.device)
    membership = dataset_index.unsqueeze(0) == datasets.unsqueeze(1)
    # `where` and not a product: a non-finite loss of one dataset must not turn into 0 * inf = nan in all the others.
    return torch.where(membership, values.unsqueeze(0), torch.zeros_like(values).unsqueeze(0)).sum(dim=1)


def perplexity(token_loss: float) -> float:
    """The perplexity of a dataset: ``exp(sum of token losses / number of target tokens)``.

    Args:
        token_loss: mean loss per target token, nats.

    Returns:
        At least 1; infinite where the loss is too large to tell.

    Example:
        >>> round(perplexity(uniform_guess_loss(384)), 6), perplexity(1e9)
        (384.0, inf)
    """
    try:
        return math.exp(token_loss)
    except OverflowError:
        return math.inf


def uniform_guess_loss(vocabulary_size: int) -> float:
    """Loss of a model that knows nothing: ``ln V`` nats per token.

    Example:
        >>> round(uniform_guess_loss(384), 3)
        5.951
    """
    return math.log(vocabulary_size)
