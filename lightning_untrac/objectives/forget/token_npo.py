"""Negative preference optimisation token by token."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.preference import npo
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term


class TokenNPO(ForgetTerm):
    """NPO on each target token by itself, the mean over tokens (TNPO; Wang et al. 2025, G-effect).

    Args:
        beta: above 0; 4 is the authors'.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a beta that is not above 0.
    """

    name: ClassVar[str] = "tnpo"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    def __init__(self, beta: float = 4.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = positive("TokenNPO", "beta", beta, 4.0)

    @override
    def __call__(self, seen: Seen) -> Term:
        now, before = seen.forget.target_losses, seen.forget.reference_target_losses
        return Term.of(npo(-now, -before, self.beta))
