"""Losses on whole next-token distributions, at the places of target tokens only."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the last dimension in at least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence of distributions, in nats: at most ``ln 2``, 0 where they are equal.

    Args:
        one: log-probabilities ``[places, vocabulary]``; ``-inf`` stands for a probability of 0.
        other: alike.

    Returns:
        ``[places]``.

    Example:
        >>> a, b = torch.tensor([[1.0, 0.0]]).log(), torch.tensor([[0.0, 1.0]]).log()
        >>> round(jensen_shannon(a, b).item(), 4), jensen_shannon(a, a).item()
        (0.6931, 0.0)
    """
    nowhere = one.isneginf() & other.isneginf()
    middle = torch.logaddexp(one.masked_fill(nowhere, 0.0), other.masked_fill(nowhere, 0.0)) - math.log(2)
    # Masked before the product: a gradient of 0 times infinity would be none.
    halves = [part.exp() * (part.masked_fill(part.isneginf(), 0.0) - middle) for part in (one, other)]
    return (halves[0].sum(-1) + halves[1].sum(-1)) / 2


def jensen_shannon_to_token(losses: Tensor) -> Tensor:
    """The same between a distribution and one that has nothing but one token, of which its loss is all that counts.

    ``1/2 (ln 2 - ln(1 + p)) + 1/2 (p (ln p - ln((1 + p)/2)) + (1 - p) ln 2)``, p the probability of the token.

    Args:
        losses: negative log-likelihoods of the tokens, any shape, nats.

    Returns:
        The same shape.

    Example:
        >>> round(jensen_shannon_to_token(torch.tensor(0.0)).item(), 4) + 0.0
        0.0
    """
    log_p = -losses
    p = log_p.exp()
    middle = p.log1p() - math.log(2)
    entropy = p * log_p.masked_fill(log_p.isneginf(), 0.0)
    return (entropy - (1 + p) * middle + (1 - p) * math.log(2)) / 2


def logit_margin(logits: Tensor) -> Tensor:
    """``(max z - mean z)^2`` of the logits z: primal-dual unlearning's forget loss; 0 where all are alike.

    Args:
        logits: ``[places, vocabulary]``; those of minus infinity, of tokens that can't come, do not count.

    Returns:
        ``[places]``.

    Example:
        >>> logit_margin(torch.tensor([[3.0, 0.0, 0.0]])).item()
        4.0
    """
    z = logits.to(torch.promote_types(logits.dtype, torch.float32))
    possible = ~z.isneginf()
    mean = z.masked_fill(~possible, 0.0).sum(-1) / possible.sum(-1)
    return (z.amax(-1) - mean).square()


def kl_to_uniform(logits: Tensor) -> Tensor:
    """``KL(model || uniform)`` = ``ln V`` minus the entropy, in nats; at most ``ln V``.

    Args:
        logits: ``[places, vocabulary]``.

    Returns:
        ``[places]``.

    Example:
        >>> kl_to_uniform(torch.zeros(1, 4)).item()
        0.0
    """
    found = log_probabilities(logits)
    entropy = -(found.exp() * found.masked_fill(found.isneginf(), 0.0)).sum(-1)
    return math.log(logits.shape[-1]) - entropy


def kl_from_uniform(logits: Tensor) -> Tensor:
    """``KL(uniform || model)`` in nats: ME, "maximising entropy" (Yuan et al. 2024, a closer look at unlearning).

    Unlike ``KL(model || uniform)`` it also punishes every probability near 0, and has no upper bound.

    Args:
        logits: ``[places, vocabulary]``.

    Returns:
        ``[places]``.

    Example:
        >>> kl_from_uniform(torch.zeros(1, 4)).item()
        0.0
    """
    return (-math.log(logits.shape[-1]) - log_probabilities(logits)).mean(-1)


def counterfactual_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """CE-U: cross entropy towards the model's own prediction without the target token (Yang 2025).

    The aim is the softmax of the logits with the target's set to minus infinity, held fixed. The gradient pushes the
    target down and the rest up in proportion, and fades as the target's probability does.

    Args:
        logits: ``[places, vocabulary]``.
        targets: ``[places]`` int64.

    Returns:
        ``[places]``, nats.

    Example:
        >>> round(counterfactual_cross_entropy(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])).item(), 4)
        2.2395
    """
    masked = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
    aim = masked.scatter(1, targets.unsqueeze(1), -math.inf).softmax(-1)
    return -(aim * log_probabilities(logits).masked_fill(aim == 0, 0.0)).sum(-1)


def self_distillation(logits: Tensor, reference_logits: Tensor, targets: Tensor, beta: float) -> Tensor:
    """UNDIAL: cross entropy towards the model before unlearning with the target's logit lowered by beta.

    Dong et al. 2024 (arXiv 2402.10052).

    Args:
        logits: ``[places, vocabulary]``.
        reference_logits: alike, of the model before unlearning.
        targets: ``[places]`` int64.
        beta: at least 0.

    Returns:
        ``[places]``, nats.

    Example:
        >>> logits = torch.zeros(1, 2)
        >>> round(self_distillation(logits, logits, torch.tensor([0]), beta=10.0).item(), 4)
        0.6931
    """
    lowered = reference_logits.to(torch.promote_types(reference_logits.dtype, torch.float32))
    lowered = lowered.scatter_add(1, targets.unsqueeze(1), lowered.new_full((len(targets), 1), -beta))
    aim = lowered.softmax(-1)
    return -(aim * log_probabilities(logits).masked_fill(aim == 0, 0.0)).sum(-1)
