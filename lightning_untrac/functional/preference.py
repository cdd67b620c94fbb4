"""Preference losses: what is to be forgotten loses against a reference, or against another answer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def npo(log_probs: Tensor, reference_log_probs: Tensor, beta: float) -> Tensor:
    """Negative preference optimisation: ``-(2/beta) log sigmoid(-beta (log p - log p_ref))``.

    Zhang et al. 2024 (arXiv 2404.05868, eq. 3). At the reference it is ``(2/beta) ln 2``; its gradient is gradient
    ascent's times ``2 p^beta / (p^beta + p_ref^beta)``, so that what is forgotten already is left alone. As beta goes
    to 0 that is gradient ascent.

    Args:
        log_probs: of each sequence (or token), any shape and float dtype, nats.
        reference_log_probs: alike, under the model before unlearning.
        beta: above 0.

    Returns:
        The same shape.

    Example:
        >>> import torch
        >>> [round(x, 4) for x in npo(torch.tensor([-2.0, -9.0]), torch.tensor([-6.0, -4.0]), beta=0.5).tolist()]
        [8.5077, 0.3156]
    """
    return -(2 / beta) * F.logsigmoid(-beta * (log_probs - reference_log_probs))


def simnpo(mean_log_probs: Tensor, beta: float, margin: float) -> Tensor:
    """NPO without a reference: ``-(2/beta) log sigmoid(beta (nll - margin))`` of the mean loss per token.

    Fan et al. 2024 (arXiv 2410.07163).

    Args:
        mean_log_probs: of each sequence, over its target tokens, nats.
        beta: above 0.
        margin: nats per token; the loss that is asked of a forgotten sequence (the authors' delta).

    Returns:
        The same shape.

    Example:
        >>> import torch
        >>> round(simnpo(torch.tensor([-1.0]), beta=2.5, margin=0.0).item(), 4)
        0.0631
    """
    return -(2 / beta) * F.logsigmoid(beta * (-mean_log_probs - margin))


def dpo(
    preferred: Tensor, preferred_reference: Tensor, rejected: Tensor, rejected_reference: Tensor, beta: float
) -> Tensor:
    """Direct preference optimisation: the other answer is preferred to the one that is to be forgotten.

    ``-(2/beta) log sigmoid(beta ((log p_w - log p_w,ref) - (log p_l - log p_l,ref)))``: Rafailov et al. 2023 (arXiv
    2305.18290) with the factor 2/beta that makes it comparable with NPO (as in open-unlearning). With refusals as other
    answers it is IdkDPO, with answers of the model's own AltPO.

    Args:
        preferred: log-probability of each other answer, ``[batch]``, nats.
        preferred_reference: under the model before unlearning.
        rejected: of each answer that is to be forgotten.
        rejected_reference: under the model before unlearning.
        beta: above 0.

    Returns:
        ``[batch]``.

    Example:
        >>> import torch
        >>> one = torch.tensor([-3.0])
        >>> round(dpo(one, one, one, one, beta=0.1).item(), 4)  # (2/beta) ln 2
        13.8629
    """
    margin = (preferred - preferred_reference) - (rejected - rejected_reference)
    return -(2 / beta) * F.logsigmoid(beta * margin)


def answer_preference(answer: Tensor, refusal: Tensor, beta: float) -> Tensor:
    """AP, the right answer is preferred to a refusal: ``-(1/beta) log sigmoid(beta (log p_answer - log p_refusal))``.

    Yuan et al. 2024 (a closer look at unlearning), as in the authors' code: no reference, and no factor of 2.

    Args:
        answer: log-probability of each answer, ``[batch]``, nats.
        refusal: of a refusal of the same question.
        beta: above 0.

    Returns:
        ``[batch]``.

    Example:
        >>> one = torch.tensor([-3.0])
        >>> round(answer_preference(one, one, beta=0.1).item(), 4)  # (1/beta) ln 2
        6.9315
    """
    return -F.logsigmoid(beta * (answer - refusal)) / beta
