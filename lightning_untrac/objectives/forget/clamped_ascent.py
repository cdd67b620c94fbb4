"""Gradient ascent with a ceiling."""

from __future__ import annotations

from typing_extensions import override

from lightning_untrac.functional import uniform_guess_loss
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class ClampedAscent(ForgetTerm):
    """Minus the mean loss per token, but no further than a cap (as in mirrored unlearning, arXiv 2605.17938).

    Above the cap the gradient is 0, so that a batch of which the model knows nothing any more is left alone; an
    optimizer with momentum still moves on for a while. The cap holds for the mean of each micro-batch: where some of a
    step's micro-batches are above it and others below, the step depends on how the batch was cut.

    Args:
        cap: nats per token; by default the loss of a uniform guess, ``ln V``.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a cap that is not above 0.
    """

    def __init__(self, cap: float | None = None, weight: float = 1.0) -> None:
        super().__init__(weight)
        if cap is not None and not cap > 0:
            raise ValueError(f"ClampedAscent(cap={cap}): give nats per token above 0, or leave it out for ln V")
        self.cap = cap

    @override
    def __call__(self, seen: Seen) -> Term:
        cap = uniform_guess_loss(seen.vocabulary_size) if self.cap is None else self.cap
        loss = seen.forget.loss
        return Term(-loss.total.clamp(max=cap * loss.count), loss.count)
