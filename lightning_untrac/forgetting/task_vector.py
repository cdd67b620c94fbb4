"""Task-vector negation: learn the forget set once more, and go as far in the other direction."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.forgetting.memorised import Memorisation, Stop, holdout_problems, level_problems
from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.forgetting.negated_vector import NegatedTaskVector
from lightning_untrac.objectives import Descent, Objective


class TaskVector(ForgettingMethod):
    """Train on the forget set, and take away what that added: ``theta_0 - coefficient (theta_tuned - theta_0)``.

    Ilharco et al. 2023 (arXiv 2212.04089). The steps descend the loss of the forget set at a learning rate by the
    model's width. Every reading measures the edited weights, and they are what is saved; checkpoints hold the tuned
    ones, so that a run that was killed goes on. Of LoRA's two factors the first stays as it was tuned, and the second
    is negated; of adapters that are not fresh the second alone is tuned. Buffers stay as they are. Each rank edits its
    own part of sharded weights.

    Memory: two more copies of what may move.

    Args:
        coefficient: how far to go; by default it is chosen at each reading, without any truth: the largest of a small
            grid, tried from below, at which the loss of 64 examples of the retained corpora has risen by at most
            ``retained_rise`` nats per token. Where none is so small, it is the smallest one.
        retained_rise: how much.
        stop: measure the edited weights' memorisation accuracy of each forget text after each pass, and end where the
            ``mean``, the ``max`` or the ``outliers`` say so (see :class:`~lightning_untrac.forgetting.sga.SGA`); None
            takes all steps.
        level: of that; by default measured on unseen text.
    """

    name: ClassVar[str] = "task_vector"

    def __init__(
        self,
        coefficient: float | None = None,
        retained_rise: float = 0.05,
        stop: Stop | None = None,
        level: float | None = None,
    ) -> None:
        self.coefficient, self.retained_rise, self.stop, self.level = coefficient, retained_rise, stop, level
        self._memorisation = None if stop is None else Memorisation(stop, level)
        self._edits = NegatedTaskVector(coefficient, retained_rise, memorisation=self._memorisation)

    @override
    def prepare(self, module: Any) -> list[str]:
        module.unlearning_objective = Objective(Descent())
        module.keeps_start, module.keeps_retained = True, self.coefficient is None
        by = "chosen at each reading" if self.coefficient is None else f"{self.coefficient:g}"
        return [f"task vector of descent on the forget set, coefficient {by}"]

    @override
    def callbacks(self) -> list[Callback]:
        return [self._edits]

    @override
    def notes(self) -> list[str]:
        known = "" if self._memorisation is None else self._memorisation.said()
        return [said for said in (self._edits.said(), known) if said]

    @override
    def problems(self) -> list[str]:
        found = [
            *super().problems(),
            *coefficient_problems(self.coefficient),
            *level_problems(self.stop, level=self.level),
        ]
        if not 0 <= self.retained_rise < math.inf:
            found.append(f"method.retained_rise: {self.retained_rise}; give nats per token, e.g. 0.05")
        if self.level is not None and self.stop is None:
            found.append("method.level: belongs to method.stop, and none is given; add e.g. --method.stop mean")
        return found

    @override
    def holdout_problems(self) -> list[str]:
        return [] if self.stop is None else holdout_problems(self.name, level=self.level)


def coefficient_problems(coefficient: float | None) -> list[str]:
    """What is wrong with a coefficient."""
    if coefficient is None or 0 < coefficient < math.inf:
        return []
    given = f"{-coefficient:g}, for it is taken away" if -math.inf < coefficient < 0 else "a number above 0, e.g. 1"
    return [f"method.coefficient: {coefficient}; give {given}"]
