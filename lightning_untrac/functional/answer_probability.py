"""How probable an answer is, whatever its length."""

from __future__ import annotations

from torch import Tensor


def answer_probability(loss_sums: Tensor, counts: Tensor) -> Tensor:
    """The geometric mean of the probabilities of an answer's tokens: ``p(answer)^(1 / tokens)``.

    Args:
        loss_sums: any shape, negative log-likelihood of each answer, nats.
        counts: of the same shape, tokens of each.

    Returns:
        Of the same shape, float64, from 0 to 1; NaN where an answer has no token.

    Example:
        >>> import torch
        >>> quarter = -torch.tensor([0.25, 1.0], dtype=torch.float64).log()
        >>> answer_probability(quarter, torch.tensor([2, 0])).tolist()
        [0.5, nan]
    """
    return (-loss_sums.double() / counts).exp()
