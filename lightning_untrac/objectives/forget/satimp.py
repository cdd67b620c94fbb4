"""Gradient ascent on tokens that the model knows, but is not sure of."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.token_weights import weighted_ascent
from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class SatImp(ForgetTerm):
    """Saturation and importance: ``-p^known (1-p)^unsure nll``, the mean over target tokens (Yang et al. 2025).

    The weight is held fixed.

    Args:
        known: exponent of a token's probability, at least 0; 5 is the authors'.
        unsure: exponent of what is left of it, at least 0; 1 is the authors'.
        weight: what it is multiplied by. The authors' page and their configuration disagree about it beside the retain
            loss (1 and .1, or .1 and 1).

    Raises:
        ValueError: for a negative exponent.
    """

    name: ClassVar[str] = "satimp"

    def __init__(self, known: float = 5.0, unsure: float = 1.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.known, self.unsure = non_negative("SatImp", "known", known), non_negative("SatImp", "unsure", unsure)

    @override
    def __call__(self, seen: Seen) -> Term:
        return Term.of(weighted_ascent(seen.forget.target_losses, self.known, self.unsure))
