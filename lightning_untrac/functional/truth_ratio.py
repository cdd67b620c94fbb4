"""The truth ratio: how probable wrong answers are beside the right one, whatever their lengths."""

from __future__ import annotations

from typing import Final, Literal, get_args

import torch
from torch import Tensor

Form = Literal["ratio", "closer_to_1_better", "true_better", "right_share"]
"""What is made of R: itself; ``min(R, 1 / R)``; ``max(0, 1 - R)``; or right over right and wrong, ``1 / (1 + R)``."""

FORMS: Final[tuple[Form, ...]] = get_args(Form)


def log_truth_ratio(wrong_losses: Tensor, wrong_counts: Tensor, right_losses: Tensor, right_counts: Tensor) -> Tensor:
    """Logarithm of ``R``, the geometric mean of ``p(wrong)^(1 / tokens)`` over wrong answers, over the right answer's.

    That is the right answer's mean loss per token minus the mean of the wrong answers' mean losses (Maini et al. 2024,
    as the public evaluation code computes it; the paper writes an arithmetic mean of probabilities).

    Args:
        wrong_losses: ``[batch, answers]`` negative log-likelihood of each wrong answer, nats.
        wrong_counts: ``[batch, answers]`` its tokens; 0 where there is no such answer.
        right_losses: ``[batch]`` likewise of the right answer.
        right_counts: ``[batch]`` likewise.

    Returns:
        ``[batch]`` float64; NaN where there is no right or no wrong answer.

    Example:
        >>> wrong, one = torch.tensor([[3.0, 5.0], [2.0, 0.0]]), torch.tensor([[2, 2], [1, 0]])
        >>> log_truth_ratio(wrong, one, torch.tensor([2.0, 2.0]), torch.tensor([2, 1])).tolist()
        [-1.0, 0.0]
    """
    there = wrong_counts > 0
    means = torch.where(there, wrong_losses.double() / wrong_counts.clamp(min=1), 0.0)
    return right_losses.double() / right_counts - means.sum(dim=1) / there.sum(dim=1)


def truth_ratio(log_ratio: Tensor, form: Form = "ratio") -> Tensor:
    """A number of each truth ratio.

    Args:
        log_ratio: of any shape, ``log R``.
        form: what is made of R.

    Returns:
        Of the same shape.

    Example:
        >>> log_ratio = torch.tensor([0.5, 2.0], dtype=torch.float64).log()
        >>> [[round(one, 4) for one in truth_ratio(log_ratio, form).tolist()] for form in FORMS]
        [[0.5, 2.0], [0.5, 0.5], [0.5, 0.0], [0.6667, 0.3333]]
    """
    if form == "closer_to_1_better":
        return (-log_ratio.abs()).exp()
    if form == "true_better":
        return (-torch.expm1(log_ratio)).clamp(min=0.0)
    if form == "right_share":
        return torch.sigmoid(-log_ratio)
    return log_ratio.exp()
