"""Agreement of a classifier with retrained ones."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.resampled import Resampled, resampled_means
from lightning_untrac.metrics.of_sets.set_measure import ReadSet, SetMeasure


class Agreement(SetMeasure):
    """Share of the examples for which a model names the class that a retrained model names, the mean over these.

    Of a retrained model it is the agreement with the others, which is what chance in training leaves; where there are
    no others nothing is said.
    """

    name = "agreement"
    title = "Agreement with the retrained models"
    unit = "share of examples"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal = "as between two retrained models"
    cannot_tell = "whether the models are alike in more than their first choice"
    source = "the usual one"
    reads = ("predicted_class",)

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        if len(read.retrained) < 2:
            return None
        values, weights = [], []
        for name in read.names:
            said = read.values("predicted_class", name)
            same = [
                np.mean([said[model] == said[one] for one in read.retrained if one != model], axis=0)
                for model in range(len(said))
            ]
            values.append(np.stack(same))
            weights.append(np.tile(~np.isnan(read.classes[name]), (len(said), 1)).astype(np.float64))
        return resampled_means(values, weights)
