"""How sure a model is of its first choice."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class Confidence(Measure):
    """Probability of the model's first choice, the mean over an example's targets, right or wrong."""

    name = "confidence"
    title = "Confidence"
    unit = "probability"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model"
    cannot_tell = "whether the choice is right"
    source = "the usual one"
    bounds = (0.0, 1.0)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        largest = torch.softmax(seen.target_logits.double(), dim=-1).amax(dim=-1)
        return Measured(*seen.example_means(largest))
