"""Learn from a teacher that knows nothing."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.retention import token_divergence_sum
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term


class BadTeacher(ForgetTerm):
    """``KL(untrained || theta)``, the mean over target tokens, nats: be as ignorant as a model before any training.

    The forget half of bad teaching (Chundawat et al. 2023, arXiv 2205.08096); the retain half, with the model before
    unlearning as the good teacher, is ``--retain kl``. The bad teacher is a model of the same architecture with weights
    as they are first drawn from ``init_seed``. It costs a forward pass a step, and one more model without gradients.
    :class:`~lightning_untrac.objectives.MaximumEntropy` is the same with a uniform teacher, and costs neither.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "bad_teacher"
    needs: ClassVar[frozenset[Need]] = frozenset({"untrained_logits"})

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        assert outputs.untrained_logits is not None
        return Term(*token_divergence_sum(outputs.untrained_logits, outputs.logits, outputs.targets))
