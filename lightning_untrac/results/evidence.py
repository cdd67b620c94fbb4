"""What the intervals of a judgement tell apart, listed; words are put to it by verdicts."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, NamedTuple

from lightning_untrac.results.judged import JudgedModel, JudgedSet, Value
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import MemorisedModel, MemorisedSet

BY_CHANCE: Final = 1 / 40
"""Share of unseen text beyond one end of its level, which is two standard deviations from its mean."""

LEVEL_OF_TEST: Final = 0.05
"""Of a p-value below it two distributions differ."""

CHANCE_AUC: Final = 0.5

THE_LOSS: Final = ("loss", "attack_loss")
"""What says something by itself, however much else was looked at: the loss, and the attack by it."""

BY_CHANCE_DIFFER: Final = 1 / 20
"""Share of 95 % intervals that leave out what they should hold."""


def is_enough(names: Collection[str], looked_at: int) -> bool:
    """Whether what differs is more than chance gives where much is looked at.

    Args:
        names: of measures and attacks that differ.
        looked_at: how many could have.

    Example:
        >>> is_enough(["loss"], 9), is_enough(["rouge"], 9), is_enough(["rouge", "exact_match"], 9)
        (True, False, True)
    """
    if any(name in THE_LOSS for name in names):
        return True
    return len(names) > 1 and len(names) > BY_CHANCE_DIFFER * looked_at


class Told(NamedTuple):
    """A measure by which a model can be told from others.

    Attributes:
        measure: its name.
        value: what tells it: a difference to the others with its interval.
        knows: 1 where the model knows the dataset better than the others, -1 where it knows it worse, 0 where the
            measure does not say which.
    """

    measure: str
    value: Value
    knows: int


class Differences(NamedTuple):
    """How all measures of a dataset stand to those of the retrained models.

    Attributes:
        told: those whose interval leaves 0 out.
        like: names of those whose interval holds 0.
        unknown: names of those without an interval.
    """

    told: list[Told]
    like: list[str]
    unknown: list[str]

    @property
    def measured(self) -> int:
        """How many measures have an interval."""
        return len(self.told) + len(self.like)

    def known(self, knows: int) -> list[Told]:
        """Those that say so."""
        return [one for one in self.told if one.knows == knows]


def differences(judged: JudgedSet, model: JudgedModel, dataset: str) -> Differences:
    """What can be told from the mean of the retrained models.

    Args:
        judged: the models of one forget set.
        model: one of them.
        dataset: or a group of datasets.
    """
    told, like, unknown = [], [], []
    for measure in judged.scored:
        value = model.value(measure, dataset, "difference")
        if not math.isfinite(value.value):
            continue
        if not math.isfinite(value.low + value.high):
            unknown.append(measure)
        elif value.low <= 0 <= value.high:
            like.append(measure)
        else:
            told.append(Told(measure, value, _knows(measure, value.low)))
    return Differences(told, like, unknown)


def _knows(measure: str, change: float) -> int:
    """What a change of a measure says; it is not 0."""
    return -measure_text(measure).forgetting * (1 if change > 0 else -1)


def changes(judged: JudgedSet, model: JudgedModel, dataset: str) -> list[Told]:
    """What can be told from the original without retrained models: means whose intervals lie apart.

    They are of the same examples, so that less can be told so than by differences example by example.

    Args:
        judged: the models of one forget set.
        model: one of them.
        dataset: or a group of datasets.
    """
    original = judged.models[0]
    found = []
    for measure in judged.scored if original.is_original else ():
        mine, before = (one.value(measure, dataset, "mean") for one in (model, original))
        if mine.low > before.high or mine.high < before.low:
            change = Value(mine.value - before.value)
            found.append(Told(measure, change, _knows(measure, change.value)))
    return found


def distributions(judged: JudgedSet, model: JudgedModel, dataset: str) -> list[Told]:
    """Measures whose examples are of another distribution than under the retrained models, with p-values.

    Args:
        judged: the models of one forget set.
        model: one of them.
        dataset: or a group of datasets.
    """
    values = ((measure, model.value(measure, dataset, "ks_p_value")) for measure in judged.scored)
    return [Told(measure, value, 0) for measure, value in values if value.value < LEVEL_OF_TEST]


class Excess(NamedTuple):
    """Distances to the retrained models beyond the noise of retraining.

    Attributes:
        values: name of a distance to its excess, of those with an interval.
        unknown: whether another one has none.
    """

    values: dict[str, Value]
    unknown: bool

    def beyond(self, share: float) -> list[str]:
        """Distances whose interval begins above a share of the original's."""
        return [measure for measure, value in self.values.items() if value.low > share]

    def reaches(self, share: float) -> dict[str, Value]:
        """Distances whose interval ends at that share or above."""
        return {measure: value for measure, value in self.values.items() if value.high >= share}


def excess_of(judged: JudgedSet, model: JudgedModel, dataset: str) -> Excess:
    """The excess of all distances on a dataset.

    Args:
        judged: the models of one forget set.
        model: one of them.
        dataset: or a group of datasets.
    """
    every = {measure: model.value(measure, dataset, "excess") for measure in judged.measures}
    values = {measure: value for measure, value in every.items() if math.isfinite(value.low + value.high)}
    return Excess(values, len(values) < len(every))


class Attacked(NamedTuple):
    """An attack that tells the forget set from unseen text otherwise than of the retrained models.

    Attributes:
        measure: its name.
        auc: of the model.
        beside: the mean of the retrained models; NaN where there is none.
        difference: to it.
        knows: 1 where the forget set looks seen, -1 where it stands out as known worse than unseen text.
    """

    measure: str
    auc: Value
    beside: float
    difference: Value
    knows: int


def attacked(memorised: MemorisedSet, model: MemorisedModel) -> list[Attacked]:
    """Attacks whose intervals say something: beside the retrained models, or without any beside chance.

    Args:
        memorised: the models of one forget set.
        model: one of them.
    """
    found = []
    for measure in attacks_of(memorised):
        auc = model.value(measure, "auc")
        told, boundary = (model.value(measure, "auc_difference"), 0.0) if memorised.retrained else (auc, CHANCE_AUC)
        if told.low > boundary or told.high < boundary:
            beside = memorised.mean_retrained(measure, "auc").value
            found.append(Attacked(measure, auc, beside, told, 1 if told.low > boundary else -1))
    return found


def attacks_of(memorised: MemorisedSet) -> list[str]:
    """Names of all attacks."""
    return list(dict.fromkeys(measure for measure, statistic in memorised.cells if statistic == "auc"))


class Outside(NamedTuple):
    """How many sequences stand on one side of unseen text.

    Attributes:
        number: how many, with its interval.
        allowed: how many do of a retrained model at most, or by chance where there is none.
        chance: how many of unseen text would.
    """

    number: Value
    allowed: float
    chance: float

    @property
    def is_more(self) -> bool:
        """Whether there are more than are allowed."""
        return self.number.value > self.allowed

    @property
    def is_told(self) -> bool:
        """Whether the interval says that there are more than of a retrained model, and more than by chance."""
        return self.number.low > max(self.allowed, self.chance)


def outside(memorised: MemorisedSet, model: MemorisedModel, statistic: str) -> Outside:
    """How many sequences survive, or are over-forgotten.

    Args:
        memorised: the models of one forget set.
        model: one of them.
        statistic: one of :data:`~lightning_untrac.results.memorised.COUNTS`.
    """
    chance = BY_CHANCE * memorised.sequences
    counts = (one.value(memorised.counted, statistic).value for one in memorised.retrained)
    of_retrained = [count for count in counts if math.isfinite(count)]
    return Outside(model.value(memorised.counted, statistic), max(of_retrained, default=chance), chance)
