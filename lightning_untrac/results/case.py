"""An unlearned model and everything that is known for and against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lightning_untrac.results import evidence
from lightning_untrac.results.evidence import CHANCE_AUC, Attacked, Differences, Excess, Outside, Told
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

    @property
    def is_finite(self) -> bool:
        """Whether it gives any finite loss, or where losses were not measured, any finite distance."""
        losses, distances = [], []
        for (measure, _, statistic), value in self.model.values.items():
            if measure == "loss" and statistic == "mean":
                losses.append(value.value)
            if statistic in ("distance", "original"):
                distances.append(value.value)
        numbers = losses or distances
        return not numbers or any(map(math.isfinite, numbers))

    @property
    def knows_noise(self) -> bool:
        """Whether intervals hold what retraining itself differs by; those of one retrained model know examples only."""
        return self.judged.retrained != 1

    def apart(self, knows: int) -> tuple[list[Told], list[Attacked]]:
        """Measures and attacks that prove the forget set known better (1) or worse (-1); none where they are too few.

        Beside one retrained model measures prove nothing. Attacks do where they tell the set from its unseen twins.
        """
        measured = self.differences(self.forget)
        told = measured.known(knows) if self.knows_noise else []
        attacks = [one for one in self.attacked if one.knows == knows and (self.knows_noise or _by_twins(one))]
        return (told, attacks) if self.is_enough(self.forget, [*told, *attacks]) else ([], [])

    def is_enough(self, dataset: str, found: Sequence[Told | Attacked]) -> bool:
        """Whether these are more than chance gives among all measures, and attacks on the forget set."""
        return evidence.is_enough([one.measure for one in found], self.looked_at(dataset))

    def looked_at(self, dataset: str) -> int:
        """How many measures have an interval, and on the forget set attacks with them."""
        attacks = evidence.attacks_of(self.memorised) if self.memorised is not None and dataset == self.forget else []
        return self.differences(dataset).measured + len(attacks)

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


def _by_twins(attack: Attacked) -> bool:
    """Whether the set is known better than its unseen twins, by the model alone."""
    return attack.knows == 1 and attack.auc.low > CHANCE_AUC
