"""Stop unlearning where a measure of a dataset has reached a value, or another dataset's."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.stopping_rule import StoppingRule, forget_sets, read_measure
from typing_extensions import override

from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.registry import did_you_mean
from lightning_untrac.results.style import format_number

CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:/\s*([\w.-]+?))?\s*(<=|>=)\s*([-+\w.]+?)\s*")


class StopAtMeasure(StoppingRule):
    """End an episode once the mean of a measure over a dataset is at most, or at least, a value.

    The value is a number, or the name of a dataset: then it is that dataset's mean of the same measure at the same
    reading of the same model. ``memorisation_accuracy<=unseen`` stops where the forget set is known no better than text
    (or classes of text) that was never trained on; below that level it would stand out again.

    Args:
        measure: its name, such as ``loss`` or ``memorisation_accuracy``; all but ``loss`` need a
            :class:`~lightning_untrac.callbacks.MeasureRecorder` that measures it.
        at_most: stop where the mean is this or less: a number, or the name of a dataset that is measured too.
        at_least: stop where the mean is this or more, alike. Give one of the two.
        dataset: whose mean; the forget set's where None.

    Raises:
        ValueError: if both bounds or none of them are given, or one is neither a number nor a name.

    Example:
        >>> str(StopAtMeasure.of("memorisation_accuracy <= .3")), str(StopAtMeasure.of("loss/news>=2.3"))
        ('StopAtMeasure(memorisation_accuracy <= 0.3)', 'StopAtMeasure(loss/news >= 2.3)')
        >>> str(StopAtMeasure.of("memorisation_accuracy<=unseen"))
        'StopAtMeasure(memorisation_accuracy <= unseen)'
    """

    def __init__(
        self,
        measure: str,
        at_most: float | str | None = None,
        at_least: float | str | None = None,
        dataset: str | None = None,
    ) -> None:
        super().__init__()
        bounds = [bound for bound in (at_most, at_least) if bound is not None]
        if len(bounds) != 1 or not (isinstance(bounds[0], str) or math.isfinite(bounds[0])):
            raise ValueError(
                f"StopAtMeasure({measure!r}, at_most={at_most}, at_least={at_least}): give one of the two, a number or "
                "the name of a dataset"
            )
        self.measure, self.at_most, self.at_least, self.dataset = measure, at_most, at_least, dataset

    @classmethod
    def of(cls, text: str) -> StopAtMeasure:
        """The rule of a condition such as ``loss >= 2.3`` or ``memorisation_accuracy/forum <= .3``.

        Raises:
            ValueError: if the text is none.
        """
        if (match := CONDITION.fullmatch(text)) is None:
            raise ValueError(
                f"{text!r} is no condition; write MEASURE<=VALUE, MEASURE>=VALUE or MEASURE/DATASET<=VALUE, with a "
                "number or the name of a dataset as VALUE"
            )
        measure, dataset, sign, value = match.groups()
        bound = {"at_most" if sign == "<=" else "at_least": _number_or_name(value)}
        return cls(measure, dataset=dataset, **bound)

    @property
    @override
    def state_key(self) -> str:
        return self._generate_state_key(
            measure=self.measure, at_most=self.at_most, at_least=self.at_least, dataset=self.dataset
        )

    def __str__(self) -> str:
        sign = f"<= {self.at_most}" if self.at_most is not None else f">= {self.at_least}"
        return f"{type(self).__name__}({self.measure}{f'/{self.dataset}' if self.dataset else ''} {sign})"

    @override
    def reads(self, data: Any, plan: EpisodePlan) -> Sequence[str]:
        names = forget_sets(data, plan) if self.dataset is None else [self.dataset]
        return [*names, *(bound for bound in (self.at_most, self.at_least) if isinstance(bound, str))]

    @override
    def problems(self, module: Any, data: Any, plan: EpisodePlan, measures: Sequence[str]) -> list[str]:
        found = super().problems(module, data, plan, measures)
        if self.measure not in (measures or ["loss"]):
            found.append(
                f"{self}: {self.measure!r} is not measured; {did_you_mean(self.measure, measures)}"
                f"add it to the measures ({', '.join(measures) or 'none'})"
            )
        return found

    @override
    def met(self, trainer: L.Trainer, module: Any) -> str | None:
        name = self.dataset or trainer.datamodule.current_episode.dataset  # type: ignore[attr-defined]
        value = read_measure(trainer, module, self.measure, name)
        says = f"{name}'s {self.measure} {format_number(value, signed=False)} is"
        bound = self.at_least if self.at_most is None else self.at_most
        assert bound is not None
        level, said = (bound, f"{bound:g}") if not isinstance(bound, str) else self._of(trainer, module, bound)
        reached = value >= level if self.at_most is None else value <= level
        yes, no = ("at least", "below") if self.at_most is None else ("at most", "above")
        self.standing = f"{says} {no} {said}"
        return f"{says} {yes} {said}" if reached else None

    def _of(self, trainer: L.Trainer, module: Any, name: str) -> tuple[float, str]:
        """Another dataset's mean, and how it is said."""
        level = read_measure(trainer, module, self.measure, name)
        return level, f"{name}'s {format_number(level, signed=False)}"


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
