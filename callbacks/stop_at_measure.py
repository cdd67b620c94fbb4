"""Stop unlearning where a measure of a dataset has reached a value."""

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

CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:/\s*([\w.-]+?))?\s*(<=|>=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


class StopAtMeasure(StoppingRule):
    """End an episode once the mean of a measure over a dataset is at most, or at least, a value.

    Args:
        measure: its name, such as ``loss`` or ``memorisation_accuracy``; all but ``loss`` need a
            :class:`~lightning_untrac.callbacks.MeasureRecorder` that measures it.
        at_most: stop where the mean is this or less.
        at_least: stop where the mean is this or more. Give one of the two.
        dataset: whose mean; the forget set's where None.

    Raises:
        ValueError: if both bounds or none of them are given, or one is not a number.

    Example:
        >>> str(StopAtMeasure.of("memorisation_accuracy <= .3")), str(StopAtMeasure.of("loss/news>=2.3"))
        ('StopAtMeasure(memorisation_accuracy <= 0.3)', 'StopAtMeasure(loss/news >= 2.3)')
    """

    def __init__(
        self,
        measure: str,
        at_most: float | None = None,
        at_least: float | None = None,
        dataset: str | None = None,
    ) -> None:
        super().__init__()
        bounds = [bound for bound in (at_most, at_least) if bound is not None]
        if len(bounds) != 1 or not math.isfinite(bounds[0]):
            raise ValueError(
                f"StopAtMeasure({measure!r}, at_most={at_most}, at_least={at_least}): give one of the two, a number"
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
                f"{text!r} is no condition; write MEASURE<=VALUE, MEASURE>=VALUE or MEASURE/DATASET<=VALUE"
            )
        measure, dataset, sign, value = match.groups()
        bound = {"at_most" if sign == "<=" else "at_least": float(value)}
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
        return forget_sets(data, plan) if self.dataset is None else [self.dataset]

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
        if self.at_most is not None:
            reached, yes, no = value <= self.at_most, f"at most {self.at_most:g}", f"above {self.at_most:g}"
        else:
            assert self.at_least is not None
            reached, yes, no = value >= self.at_least, f"at least {self.at_least:g}", f"below {self.at_least:g}"
        self.standing = f"{says} {no}"
        return f"{says} {yes}" if reached else None
