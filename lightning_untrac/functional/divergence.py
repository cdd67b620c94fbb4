"""How far apart two predictions are."""

from __future__ import annotations

from torch import Tensor


def sampled_kl(reference: Tensor, other: Tensor) -> Tensor:
    """KL(reference || other) from tokens that were drawn from the reference: the mean of ``r - 1 - ln r``.

    With r = other / reference at a drawn token that is unbiased, never negative and of low variance (Schulman 2020, the
    estimator k3).

    Args:
        reference: log-probabilities of the drawn tokens under the reference, ``[places, draws]``.
        other: of the same tokens under the other.

    Returns:
        ``[places, draws]``, whose mean is the divergence in nats.

    Example:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
        >>> each = sampled_kl(p.log(), q.log())  # each of both tokens, as often as the reference draws them
        >>> round(each.mean().item(), 4), round((p * (p / q).log()).sum().item(), 4)
        (0.5108, 0.5108)
    """
    log_ratio = other - reference
    return log_ratio.exp() - 1 - log_ratio
