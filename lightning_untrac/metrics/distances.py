"""How far apart two models are on each example of a batch, read from one forward pass of each."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from lightning_untrac.functional import example_losses
from lightning_untrac.functional.retention import token_divergences
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.outputs import Outputs
from lightning_untrac.results.measures import MeasureText, describe_measure

LOSS_GAP: Final = "loss_gap"
DIVERGENCE: Final = "kl_divergence"
DISTANCES: Final = (LOSS_GAP, DIVERGENCE)
"""In the order of the tables."""

UNIT: Final = "nats/token"

describe_measure(
    LOSS_GAP,
    MeasureText(
        "Difference of log-likelihood",
        UNIT,
        ideal="as between two retrained models",
        cannot_tell="where the two give a text the same probability for different reasons, token by token",
    ),
)
describe_measure(
    DIVERGENCE,
    MeasureText(
        "KL divergence",
        UNIT,
        ideal="as between two retrained models",
        cannot_tell="what the models would write by themselves; it is read at the tokens of the given texts",
        source="Kullback and Leibler 1951; the other model is the first argument",
    ),
)


def distances(logits: Tensor, reference: Tensor, targets: Tensor) -> dict[str, Measured]:
    """Distances of a model to another one, an example each, weighted by its target tokens.

    ``loss_gap`` is ``|NLL(model) - NLL(reference)|`` per target token of an example; ``kl_divergence`` is the mean of
    ``KL(reference || model)`` over its target tokens. Prompts and padding never count.

    Args:
        logits: ``[batch, length, vocabulary]`` of the model.
        reference: alike, of the other model.
        targets: ``[batch, length]`` int64, aligned; -100 where there is none.

    Example:
        >>> import torch
        >>> one = torch.tensor([[[0.75, 0.25]]]).log()
        >>> found = distances(one, torch.zeros(1, 1, 2), torch.tensor([[0]]))
        >>> [round(found[name].value.item(), 4) for name in DISTANCES]  # ln(.75 / .5), ln(2 / sqrt(3))
        [0.4055, 0.1438]
    """
    seen = Outputs(logits, targets, reference_logits=reference)
    (mine, counts), (theirs, _) = seen.losses, example_losses(reference, targets)
    divergences = seen.example_sums(token_divergences(seen.reference_target_logits, seen.target_logits))
    return {
        LOSS_GAP: Measured((mine - theirs).abs() / counts, counts),
        DIVERGENCE: Measured(divergences / counts, counts),
    }
