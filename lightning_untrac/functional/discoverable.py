"""How many draws it takes until a text has probably come out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_untrac.functional.verbatim import log_of_rest

COUNTABLE = 15.0
"""Numbers of draws up to 10 to this are whole; beyond it a float64 doesn't tell one from the next."""


def log10_draws(log_probs: Tensor, p: float) -> Tensor:
    """Fewest draws of which at least one gives a text with probability ``p`` or more, as a power of ten.

    The fewest whole n with ``1 - (1 - q)^n >= p``, where q is the probability of one draw.

    Args:
        log_probs: log-probability of one draw, float64, of any shape.
        p: the chance that is asked for, between 0 and 1.

    Returns:
        ``log10(n)``, alike, at least 0; ``inf`` where a draw never gives it, NaN where its probability is.

    Example:
        With a chance of 2 % a draw, 35 draws give it with a probability of one half; a text of 100 nats takes 10^43:

        >>> found = log10_draws(torch.tensor([math.log(0.02), -100.0, 0.0, -math.inf], dtype=torch.float64), 0.5)
        >>> (10 ** found[0]).round().item(), [round(one, 2) for one in found[1:].tolist()]
        (35.0, [43.27, 0.0, inf])
    """
    rates = -log_of_rest(log_probs)
    # Of a tiny q it is q itself, also where that is no float any more.
    log_rates = torch.where(log_probs < -30, log_probs, rates.log())
    exact = (math.log(-math.log1p(-p)) - log_rates) / math.log(10)
    whole = (-math.log1p(-p) / rates * (1 - 1e-12)).ceil().log10()
    return torch.where(exact < COUNTABLE, whole, exact).clamp(min=0)
