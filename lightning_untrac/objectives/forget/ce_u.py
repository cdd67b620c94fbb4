"""Cross entropy towards the model's own prediction without the target."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import counterfactual_cross_entropy
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term, Unit


class CEU(ForgetTerm):
    """CE-U: cross entropy towards what the model would say if the target were impossible (Yang 2025).

    The mean over target tokens but the first of each sequence, which is left alone as the author does. It fades as the
    target's probability does, so that it needs no reference and no retain term.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "ceu"
    unit: ClassVar[Unit] = "later_token"

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        later = (outputs.places.cumsum(dim=1) > 1)[outputs.places]
        values = counterfactual_cross_entropy(outputs.target_logits, outputs.target_ids)
        return Term((values * later).sum(), later.sum())
