"""Keep answering what must stay, while refusals are trained."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.data.config import REFUSALS
from lightning_untrac.functional.preference import answer_preference
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.terms import RetainTerm, Seen, Stream, Term, Unit


class RetainAnswer(RetainTerm):
    """AP: ``-(1/beta) log sigmoid(beta (log p_answer - log p_refusal))`` on retained data, the mean over sequences.

    Answer preservation (Yuan et al. 2024, a closer look at unlearning): a retained answer stays likelier than a refusal
    of the same question. log p is the sum over a sequence's target tokens. The refusals come from a list that ships,
    unless the datasets name other answers (``alternative``). It costs one more forward pass, over the refusals.

    Args:
        weight: what it is multiplied by.
        beta: above 0; .1 is the authors'.

    Raises:
        ValueError: for a beta that is not above 0.
    """

    name: ClassVar[str] = "ap"
    unit: ClassVar[Unit] = "sequence"
    streams: ClassVar[tuple[Stream, ...]] = ("retain", "retain_alternative")
    alternatives_from: ClassVar[str | None] = REFUSALS

    def __init__(self, weight: float = 1.0, beta: float = 0.1) -> None:
        super().__init__(weight)
        self.beta = positive("RetainAnswer", "beta", beta, 0.1)

    @override
    def __call__(self, seen: Seen) -> Term:
        answer, refusal = seen.of("retain"), seen.of("retain_alternative")
        values = answer_preference(answer.log_probs, refusal.log_probs, self.beta)
        return Term.of(values[answer.is_sequence])
