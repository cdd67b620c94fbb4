"""How good a model still is at answering: one number of several measures on several datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.harmonic_mean import harmonic_mean
from lightning_untrac.functional.resampled import Resampled, resampled_means
from lightning_untrac.metrics.of_sets.set_measure import ReadSet, SetMeasure


class ModelUtility(SetMeasure):
    """Harmonic mean of probability, ROUGE-L and truth ratio (``max(0, 1 - R)``) over datasets (Maini et al. 2024).

    TOFU's nine terms are those of three datasets: the retained authors, real authors and facts of the world. It is made
    of the datasets of which all three are measured; nothing is said of the forget set. One term of 0 makes it 0.
    """

    name = "model_utility"
    title = "Model utility"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model"
    cannot_tell = "which of its terms moved, and any ability that is not asked for"
    source = "TOFU, Maini et al. 2024 (arXiv 2401.06121)"
    reads = ("probability", "rouge_l", "truth_ratio_form_true_better")
    of_classes = False

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        terms = [
            resampled_means([read.values(measure, name)], [read.weights(measure, name)], seed=place)
            for place, name in enumerate(name for name in read.names if name != read.forget)
            if all(read.weights(measure, name).any() for measure in self.reads)
            for measure in self.reads
        ]
        return [_of_terms(model) for model in zip(*terms, strict=True)] if terms else None


def _of_terms(terms: Sequence[Resampled]) -> Resampled:
    """The harmonic mean of one model's terms, with what chance in the examples makes of it."""
    value = float(harmonic_mean(np.array([one.value for one in terms])))
    if not all(len(one.drawn) for one in terms):
        return Resampled(value, np.empty(0))
    return Resampled(value, harmonic_mean(np.stack([one.drawn for one in terms])))
