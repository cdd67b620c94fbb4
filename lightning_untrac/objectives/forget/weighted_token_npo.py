"""Token-wise NPO that counts tokens by how well they are known."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.token_weights import weighted_token_npo
from lightning_untrac.objectives.checks import non_negative, positive
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term


class WeightedTokenNPO(ForgetTerm):
    """WTNPO: ``-2 p^(beta+alpha) / (p^beta + q^beta) nll``, the mean over target tokens (Wang et al. 2025, G-effect).

    The weight is held fixed; q is a token's probability before unlearning. The value is no loss to be read: its
    gradient is what counts.

    Args:
        beta: above 0; 4 is the authors'.
        alpha: at least 0; 1.5 is the authors'.
        weight: what it is multiplied by.

    Raises:
        ValueError: for numbers out of range.
    """

    name: ClassVar[str] = "wtnpo"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    def __init__(self, beta: float = 4.0, alpha: float = 1.5, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = positive("WeightedTokenNPO", "beta", beta, 4.0)
        self.alpha = non_negative("WeightedTokenNPO", "alpha", alpha)

    @override
    def __call__(self, seen: Seen) -> Term:
        now, before = seen.forget.target_losses, seen.forget.reference_target_losses
        return Term.of(weighted_token_npo(now, before, self.beta, self.alpha))
