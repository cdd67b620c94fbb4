"""Distil the model before unlearning with the targets' logits lowered."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import self_distillation
from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term


class UNDIAL(ForgetTerm):
    """Cross entropy towards ``softmax(z_ref - beta onehot(target))``, the mean over target tokens.

    Dong et al. 2024 (arXiv 2402.10052).

    Args:
        beta: by how much the target's logit is lowered, at least 0; the paper has 3, 10 and 30.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a negative beta.
    """

    name: ClassVar[str] = "undial"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    def __init__(self, beta: float = 10.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = non_negative("UNDIAL", "beta", beta)

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        return Term.of(
            self_distillation(outputs.target_logits, outputs.reference_target_logits, outputs.target_ids, self.beta)
        )
