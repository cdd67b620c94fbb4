"""Prefer another answer to the one that is to be forgotten."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.preference import dpo
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Stream, Term, Unit


class DPO(ForgetTerm):
    """``-(2/beta) log sigmoid(beta (d_other - d_forget))``, d = log p - log p_ref, the mean over sequences.

    Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) with the other answers (``alternative`` of
    the dataset) preferred; the factor of 2 makes it comparable with NPO, as in open-unlearning. log p is the sum over a
    sequence's target tokens; log p_ref, before unlearning, is computed once for each sequence of both streams before
    the first step. At the start it is ``(2/beta) ln 2``, 13.86 by default.

    Args:
        beta: above 0; .1 is open-unlearning's.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a beta that is not above 0.
    """

    name: ClassVar[str] = "dpo"
    unit: ClassVar[Unit] = "sequence"
    streams: ClassVar[tuple[Stream, ...]] = ("forget", "alternative")
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_log_probs"})

    def __init__(self, beta: float = 0.1, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = positive(type(self).__name__, "beta", beta, 0.1)

    @override
    def __call__(self, seen: Seen) -> Term:
        mine, other = seen.forget, seen.of("alternative")
        assert mine.reference_log_probs is not None
        assert other.reference_log_probs is not None
        values = dpo(other.log_probs, other.reference_log_probs, mine.log_probs, mine.reference_log_probs, self.beta)
        return Term.of(values[mine.is_sequence])
