"""Simple negative preference optimisation: no reference."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.preference import simnpo
from lightning_untrac.objectives.checks import non_negative, positive
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term, Unit


class SimNPO(ForgetTerm):
    """``-(2/beta) log sigmoid(beta (nll - margin))``, the mean over sequences (Fan et al. 2024, arXiv 2410.07163).

    nll is a sequence's mean loss per target token. Long and short sequences count alike, and no reference is needed.

    Args:
        beta: above 0. 4.5 is the authors' on TOFU forget10; on forget05 they have 2.5.
        margin: nats per token, at least 0: the authors' delta.
        weight: what it is multiplied by; the authors' is .125 on forget10 beside a retain loss of weight 1.

    Raises:
        ValueError: for a beta that is not above 0, or a negative margin.
    """

    name: ClassVar[str] = "simnpo"
    unit: ClassVar[Unit] = "sequence"

    def __init__(self, beta: float = 4.5, margin: float = 0.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta, self.margin = positive("SimNPO", "beta", beta, 4.5), non_negative("SimNPO", "margin", margin)

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        rows = outputs.is_sequence
        means = outputs.log_probs[rows] / outputs.places[rows].sum(dim=1)
        return Term.of(simnpo(means, self.beta, self.margin))
