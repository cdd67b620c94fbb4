"""SGA: ascent on the texts that are memorised most, each for as long as it is."""

from __future__ import annotations

from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.forgetting.memorised import Memorisation, Stop, holdout_problems, level_problems
from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.forgetting.selected_steps import SelectedSteps, SequenceAscent
from lightning_untrac.objectives import Objective

STEPS, BATCH_SIZE, RATE = 150, 256, 0.1
"""Steps at most (the authors' epochs); examples of a step, a whole forget set where it is not larger; part of the usual
learning rate, at the whole of which steps so few took more with them (benchmarks/RESULTS.md)."""


class SGA(ForgettingMethod):
    """Selective gradient ascent: each pass on the texts that are still memorised beyond a threshold, and on no others.

    Barbulescu and Triantafillou 2024 (arXiv 2405.03097), by their code. How far a text is memorised is its memorisation
    accuracy, measured anew before each pass over the selected ones: with a forget set that fits into one effective
    batch, before each step. Once none is above the threshold, the most memorised text of all is stepped on alone, until
    the rule is met. Each step is the mean over its texts of their losses per token.

    Ours: thresholds are measured on unseen text (``data.holdout``) under the model at hand, where the authors' .70 for
    the threshold and .33 for the mean belong to GPT-Neo; the most memorised text is one of all ranks, where in their
    code each rank's micro-batch has one; a text counts in the means with weight 1.

    Args:
        threshold: from which memorisation accuracy on a text is stepped on; by default where unseen text ends: its mean
            and two standard deviations (its highest, where that would be 1 or more).
        stop: what ends it: the ``mean`` over texts (the authors') or the ``max`` is at most a level, or none of the
            ``outliers`` is left, the texts at a level or above.
        level: of that; by default the mean, or the highest, of unseen text, or where it ends.
    """

    name: ClassVar[str] = "sga"
    batch_size: ClassVar[int | None] = BATCH_SIZE
    steps: ClassVar[int | None] = STEPS
    rate: ClassVar[float] = RATE
    takes_retain: ClassVar[bool] = True
    stops: ClassVar[bool] = True

    def __init__(self, threshold: float | None = None, stop: Stop = "outliers", level: float | None = None) -> None:
        self.threshold, self.stop, self.level = threshold, stop, level
        self._steps = SelectedSteps(Memorisation(stop, level), threshold)

    @override
    def prepare(self, module: Any) -> list[str]:
        given = module.unlearning_objective
        module.unlearning_objective = Objective(SequenceAscent(), given.retain, given.anchor, given.rectify)
        by = "measured on unseen text" if self.threshold is None else f"{self.threshold:g}"
        return [f"ascent on the texts whose memorisation accuracy is at or above a threshold, {by}"]

    @override
    def callbacks(self) -> list[Callback]:
        return [self._steps]

    @override
    def notes(self) -> list[str]:
        return [said] if (said := self._steps.said()) else []

    @override
    def problems(self) -> list[str]:
        return [*super().problems(), *level_problems(self.stop, threshold=self.threshold, level=self.level)]

    @override
    def holdout_problems(self) -> list[str]:
        return holdout_problems(self.name, threshold=self.threshold, level=self.level)
