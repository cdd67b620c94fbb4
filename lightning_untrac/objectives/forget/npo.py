"""Negative preference optimisation."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.preference import npo
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term, Unit


class NPO(ForgetTerm):
    """``-(2/beta) log sigmoid(-beta (log p - log p_ref))``, the mean over sequences (Zhang et al., arXiv 2404.05868).

    log p is the sum over a sequence's target tokens, log p_ref the same before unlearning, computed once for each
    sequence before the first step: it needs no second model. At the start it is ``(2/beta) ln 2``, 13.86 by default.

    Args:
        beta: above 0; the smaller, the more like gradient ascent. .1 is the paper's.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a beta that is not above 0.
    """

    name: ClassVar[str] = "npo"
    unit: ClassVar[Unit] = "sequence"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_log_probs"})

    def __init__(self, beta: float = 0.1, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = positive("NPO", "beta", beta, 0.1)

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        assert outputs.reference_log_probs is not None
        rows = outputs.is_sequence
        return Term.of(npo(outputs.log_probs[rows], outputs.reference_log_probs[rows], self.beta))
