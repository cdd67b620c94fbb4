"""Gradient ascent on the tokens that the model still knows."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.token_weights import weighted_ascent
from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class WGA(ForgetTerm):
    """Weighted gradient ascent: ``-p^beta nll``, the mean over target tokens (Wang et al. 2025).

    A token that is forgotten already hardly counts, so that the ascent slows down by itself. The weight is held fixed.

    Args:
        beta: at least 0; 0 is gradient ascent, 1 is the authors'.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a negative beta.
    """

    name: ClassVar[str] = "wga"

    def __init__(self, beta: float = 1.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = non_negative("WGA", "beta", beta)

    @override
    def __call__(self, seen: Seen) -> Term:
        return Term.of(weighted_ascent(seen.forget.target_losses, self.beta))
