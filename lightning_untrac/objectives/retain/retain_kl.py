"""Hold the predictions on what must stay to those of the model before unlearning."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.retention import token_divergence_sum
from lightning_untrac.objectives.terms import Need, RetainTerm, Seen, Term


class RetainKL(RetainTerm):
    """``KL(theta_0 || theta)`` on retained data, in nats per target token (TOFU, arXiv 2401.06121).

    The divergence of the predictions from those of the pre-unlearning weights theta_0, the mean over the places of the
    retained data's target tokens (prompts and padding do not count). At theta_0 it is 0 and so is its gradient: the
    first step is that of the forget term alone.

    It costs the logits of a second and a third forward pass, and whatever the reference costs
    (:mod:`lightning_untrac.modules.reference`).

    Args:
        weight: what it is multiplied by; 0 is no retain term.
    """

    name: ClassVar[str] = "kl"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.of("retain")
        assert outputs.reference_logits is not None
        return Term(*token_divergence_sum(outputs.reference_logits, outputs.logits, outputs.targets))
