"""Gradient ascent with a ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional import uniform_guess_loss
from lightning_untrac.objectives.base import MeasuresLoss, Objective

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class ClampedAscent(Objective):
    """Minus the mean loss per token, but no further than a cap (as in mirrored unlearning, arXiv 2605.17938).

    Above the cap the gradient is 0, so that a batch of which the model knows nothing any more is left alone; an
    optimizer with momentum still moves on for a while.

    Args:
        cap: nats per token; by default the loss of a uniform guess, ``ln V``.

    Raises:
        ValueError: for a cap that is not above 0.
    """

    def __init__(self, cap: float | None = None) -> None:
        if cap is not None and not cap > 0:
            raise ValueError(f"ClampedAscent(cap={cap}): give nats per token above 0, or leave it out for ln V")
        self.cap = cap

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        cap = uniform_guess_loss(module.vocabulary_size) if self.cap is None else self.cap
        return -module.mean_loss(batch).clamp(max=cap)
