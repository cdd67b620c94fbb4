"""Gradient ascent with a ceiling."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional import uniform_guess_loss
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class ClampedAscent(ForgetTerm):
    """``-min(nll, cap)``, the mean over target tokens: ascent on each token up to a cap (as in arXiv 2605.17938).

    Above the cap a token's gradient is 0, so that one of which the model knows nothing any more is left alone; an
    optimizer with momentum still moves on for a while.

    Args:
        cap: nats per token; by default the loss of a uniform guess, ``ln V``.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a cap that is not above 0.
    """

    name: ClassVar[str] = "clamped"

    def __init__(self, cap: float | None = None, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.cap = None if cap is None else positive("ClampedAscent", "cap", cap, 6.0)

    @override
    def __call__(self, seen: Seen) -> Term:
        cap = uniform_guess_loss(seen.vocabulary_size) if self.cap is None else self.cap
        return Term.of(-seen.forget.target_losses.clamp(max=cap))
