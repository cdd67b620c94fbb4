"""Go away from the predictions of the model before unlearning."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from lightning_untrac.functional.retention import token_divergence_sum
from lightning_untrac.objectives.checks import whole_number
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class SCRUB(ForgetTerm):
    """``-KL(theta_0 || theta)``, the mean over target tokens, nats: disobey the model before unlearning.

    The forget half of SCRUB (Kurmanji et al. 2023, arXiv 2302.10866), whose retain half is ``--retain kl,loss``. SCRUB
    goes through the forget set and then through the retained data by turns, and leaves the forget set out in its last
    rounds. Our reading by steps: the term counts in the first of every ``every`` steps and until ``max_steps``; the
    retain terms always do. It has no lower bound: see :class:`~lightning_untrac.callbacks.CollapseGuard`. At the start
    its gradient is zero, so that it needs a retain term to begin to move.

    Args:
        every: in one of how many steps it counts; 1 for all.
        max_steps: after how many steps of an episode it counts no more; None for never.
        weight: what it is multiplied by.

    Raises:
        ValueError: for numbers below 1.
    """

    name: ClassVar[str] = "scrub"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    def __init__(self, every: int = 2, max_steps: int | None = None, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.every = whole_number("SCRUB", "every", every, least=1)
        self.max_steps = None if max_steps is None else whole_number("SCRUB", "max_steps", max_steps, least=1)
        self._steps = 0

    @override
    def prepare(self, module: Unlearns) -> None:
        self._steps = 0

    @property
    def counts(self) -> bool:
        """Whether it does in the step that comes."""
        return self._steps % self.every == 0 and (self.max_steps is None or self._steps < self.max_steps)

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        if not self.counts:
            return outputs.nothing()
        assert outputs.reference_logits is not None
        total, count = token_divergence_sum(outputs.reference_logits, outputs.logits, outputs.targets)
        return Term(-total, count)

    @override
    def after_step(self, module: Unlearns) -> None:
        self._steps += 1

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._steps = int(state["steps"])
