"""Hold the predictions on what must stay, by a bounded divergence."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import jensen_shannon, log_probabilities
from lightning_untrac.objectives.terms import Need, RetainTerm, Seen, Term


class RetainJSD(RetainTerm):
    """Jensen-Shannon divergence from the predictions before unlearning, mean over target tokens, nats (JensUn).

    At most ``ln 2``; 0 with a zero gradient at the start.

    Args:
        weight: what it is multiplied by; 0 is no retain term.
    """

    name: ClassVar[str] = "jsd"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.of("retain")
        return Term.of(
            jensen_shannon(log_probabilities(outputs.reference_target_logits), log_probabilities(outputs.target_logits))
        )
