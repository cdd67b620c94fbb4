"""An unlearned model and everything that is known for and against it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lightning_untrac.results import evidence
from lightning_untrac.results.evidence import Attacked, Differences, Excess, Outside
from lightning_untrac.results.judged import JudgedModel, JudgedSet
from lightning_untrac.results.memorised import MemorisedModel, MemorisedSet
from lightning_untrac.tables.distances import RETAINED


class Statement(NamedTuple):
    """What the intervals allow to say.

    Attributes:
        words: a few, for a headline.
        reason: sentences with the numbers that it rests on; empty where another sentence of the verdict has them.
        anchor: place of the page that shows it, if any.
    """

    words: str
    reason: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Case:
    """An unlearned model and all that is known for and against it.

    Attributes:
        judged: the models of its forget set.
        model: it.
        memorised: what they know of each sequence, if that was judged.
    """

    judged: JudgedSet
    model: JudgedModel
    memorised: MemorisedSet | None

    @property
    def forget(self) -> str:
        """The forget set."""
        return self.judged.forget_set

    @property
    def has_retained(self) -> bool:
        """Whether anything that is retained was measured."""
        return RETAINED in self.judged.datasets

    @property
    def others(self) -> str:
        """The retrained models in words."""
        return "the retrained model" + ("s" if self.judged.retrained > 1 else "")

    @cached_property
    def known(self) -> MemorisedModel | None:
        """The model where sequences are counted."""
        every = self.memorised.models if self.memorised is not None else ()
        return next((one for one in every if one.model == self.model.model), None)

    @cached_property
    def attacked(self) -> list[Attacked]:
        """Attacks that tell something."""
        return [] if self.memorised is None or self.known is None else evidence.attacked(self.memorised, self.known)

    def outside(self, statistic: str) -> Outside | None:
        """How many sequences stand on one side of unseen text, if that was counted."""
        if self.memorised is None or self.known is None or not self.memorised.sequences:
            return None
        return evidence.outside(self.memorised, self.known, statistic)

    def differences(self, dataset: str) -> Differences:
        """All measures beside the retrained models."""
        return evidence.differences(self.judged, self.model, dataset)

    def excess(self, dataset: str) -> Excess:
        """All distances beyond the noise of retraining."""
        return evidence.excess_of(self.judged, self.model, dataset)
