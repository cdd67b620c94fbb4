"""What models know of the rest of a forget set while they are fine-tuned on a part of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Found, Number, means_together
from lightning_untrac.functional.example_means import ENDS, Mean
from lightning_untrac.functional.relearning import steps_to_half
from lightning_untrac.functional.resampled import Resampled, mean_of_models
from lightning_untrac.functional.robustness import relearning_robustness
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import Measure
from lightning_untrac.naming import counted
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number

TO_HALF: Final = "steps_to_half"
"""``statistic``: steps until half of what the original knows beyond retrained models is back; infinite for never."""

R: Final = "relearning_robustness"
"""``statistic``: 1 - |D_u - D_r| / (|D_u| + |D_r|) of the changes by fine-tuning."""

CONTROL: Final = ""
"""In place of a path: the retrained models together."""


@dataclass(frozen=True)
class Courses:
    """One measure of one dataset while models are fine-tuned, all on the same resamples.

    Attributes:
        bench: the models.
        measure: what was read.
        dataset: of what.
        steps: ``[S]`` of the readings, the first before any step.
        of: path of a model, or :data:`CONTROL`, to its means at each.
        original: what the original reaches, which is not fine-tuned.
    """

    bench: Bench
    measure: Measure
    dataset: str
    steps: Floats
    of: Mapping[str, Sequence[Resampled]]
    original: Resampled

    @classmethod
    def read(cls, bench: Bench, found: Found, measure: Measure, dataset: str) -> Courses | None:
        """Put them together; None where a fine-tuning ended early or no model was retrained.

        Args:
            bench: the models.
            found: columns of each reading of each model, and of the original.
            measure: what was read.
            dataset: of what.
        """
        columns = {
            (path, one.at): one
            for path, every in found.items()
            for one in every
            if (one.measure, one.dataset) == (measure.name, dataset)
        }
        paths = [path for path in found if path != bench.models.original]
        steps = sorted({at for path, at in columns if path in paths and at is not None})
        if not bench.retrained or len(columns) != len(paths) * len(steps) + 1:
            return None
        means = means_together(columns)
        of = {path: [means[path, step] for step in steps] for path in paths}
        of[CONTROL] = [mean_of_models([of[path][place] for path in bench.retrained]) for place in range(len(steps))]
        return cls(bench, measure, dataset, np.array(steps), of, means[bench.models.original, 0.0])

    @property
    def half(self) -> dict[str, Resampled]:
        """Steps to half of each; none where the original knows no more than retrained models, measurably."""
        higher, start = self.measure.direction == "higher", self.of[CONTROL][0]
        if not self.original.minus(start).times(1.0 if higher else -1.0).mean.low > 0:
            return {}
        return {
            path: steps_to_half(self.steps, course, start, self.original, higher) for path, course in self.of.items()
        }

    def numbers(self) -> list[Number]:
        """Steps to half of each model, and R of the unlearned ones."""
        where: dict[str, Any] = {"measure": self.measure.name, "dataset": self.dataset}
        half = self.half
        found = [
            Number(path, TO_HALF, *_with_interval(half[path]), unit="steps", **where)
            for path in half
            if path != CONTROL
        ]
        control = (self.of[CONTROL][0], self.of[CONTROL][-1])
        for path in self.bench.models.unlearned:
            ends = (self.of[path][0], self.of[path][-1])
            found.append(Number(path, R, *relearning_robustness(ends, control).mean, at=self.steps[-1], **where))
        return found

    def sentences(self) -> dict[str, str]:
        """How fast each unlearned model has half back, beside models that never saw the set."""
        half, title = self.half, measure_text(self.measure.name).title
        unlearned, forget = self.bench.models.unlearned, self.bench.forget
        part = forget if self.dataset == forget else f"a part of {forget}"
        if not half:
            why = f"the original does not know {self.dataset} measurably better than models that never saw it ({title})"
            return {path: f"{Path(path).name}: {why}, so that nothing could come back." for path in unlearned}
        said = {}
        for path in unlearned:
            mine, control = half[path], half[CONTROL]
            said[path] = (
                f"After fine-tuning on {part}, {Path(path).name} has half of what the original knows of "
                f"{self.dataset} beyond retrained models ({title}) back {self._after(mine)}; models that never saw it "
                f"{self._after(control)}: {_verdict(mine, control)}."
            )
        return said

    def _after(self, half: Resampled) -> str:
        value, *ends = _with_interval(half)
        if value == 0:
            return "before any step"
        if math.isinf(value):
            return f"not within {counted(int(self.steps[-1]), 'step')}"
        low, high = ("never" if math.isinf(end) else format_number(end, signed=False) for end in ends)
        return f"after {format_number(value, signed=False)} steps ({low} to {high})"


def _verdict(mine: Resampled, control: Resampled) -> str:
    """What steps to half say beside those of models that never saw the set."""
    if mine.value == 0:  # what was there before any step did not come back
        told = float((mine.drawn == 0).mean()) >= ENDS[1]
        return "more than half was never forgotten" if told else "whether half was ever forgotten can't be told"
    if float((mine.drawn < control.drawn).mean()) >= ENDS[1]:
        return "what was forgotten comes back faster than it is learnt"
    if float((control.drawn < mine.drawn).mean()) >= ENDS[1]:
        return "it comes back no faster than it is learnt"
    return "which of them is faster can't be told"


def _with_interval(steps: Resampled) -> Mean:
    """The 95 % interval, of which an end may be infinite."""
    drawn = steps.drawn[~np.isnan(steps.drawn)]
    if not len(drawn):
        return Mean(steps.value, math.nan, math.nan)
    low, high = np.quantile(drawn, ENDS, method="nearest")
    return Mean(steps.value, float(low), float(high))
