"""The class that a classifier names for each example."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class PredictedClass(Measure):
    """The number of the model's first choice, where an example has a single target: a text's class.

    Other examples don't count. A mean of it says nothing: it is what agreement and F1 are made of.
    """

    name = "predicted_class"
    title = "Predicted class"
    unit = "number of a class"
    weight_unit = "examples"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal = "that of the retrained model"
    cannot_tell = "how sure the model is; a mean of it says nothing"
    source = "the usual one"

    @override
    def __call__(self, seen: Outputs) -> Measured:
        single = seen.places.sum(dim=1) == 1
        chosen = (seen.logits.argmax(dim=-1) * seen.places).sum(dim=1).double()
        return Measured(torch.where(single, chosen, torch.nan), single)
