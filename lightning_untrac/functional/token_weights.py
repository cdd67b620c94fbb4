"""Gradient ascent in which each token counts by how well it is known."""

from __future__ import annotations

from torch import Tensor


def weighted_ascent(losses: Tensor, known: float = 1.0, unsure: float = 0.0) -> Tensor:
    """``-p^known (1 - p)^unsure nll`` of each token, with the weight held fixed (no gradient through it).

    With ``known`` alone it is WGA (weighted gradient ascent, Wang et al. 2025): a token that is forgotten already
    hardly counts. With both it is SatImp (Yang et al. 2025): nor does one that the model is sure of count most.

    Args:
        losses: negative log-likelihoods, any shape, nats.
        known: exponent of the token's probability, at least 0.
        unsure: exponent of what is left of it, at least 0.

    Returns:
        The same shape.

    Example:
        >>> import torch
        >>> [round(x, 4) for x in weighted_ascent(torch.tensor([0.1, 3.0])).tolist()]
        [-0.0905, -0.1494]
    """
    p = (-losses).detach().exp()
    weight = p**known if unsure == 0 else p**known * (1 - p) ** unsure
    return -weight * losses


def weighted_token_npo(losses: Tensor, reference_losses: Tensor, beta: float, alpha: float) -> Tensor:
    """NPO on each token by itself, in the form of weighted ascent: ``-2 p^(beta+alpha) / (p^beta + q^beta) nll``.

    WTNPO of Wang et al. 2025 (G-effect); with ``alpha = 0`` it has the gradient of token-wise NPO. The weight is held
    fixed; q is the token's probability before unlearning.

    Args:
        losses: negative log-likelihoods, any shape, nats.
        reference_losses: alike, under the model before unlearning.
        beta: above 0.
        alpha: at least 0.

    Returns:
        The same shape.

    Example:
        >>> import torch
        >>> one = torch.tensor([0.5])
        >>> round(weighted_token_npo(one, one, beta=4.0, alpha=0.0).item(), 4)  # weight 1 at the reference
        -0.5
    """
    nll = losses.detach()
    # 2 p^beta / (p^beta + q^beta) as a sigmoid, which stays finite where both powers are 0.
    weight = 2 * (beta * (reference_losses - nll)).sigmoid() * (-alpha * nll).exp()
    return -weight * losses
