"""How undecided a model is."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class Entropy(Measure):
    """Entropy of the model's prediction in nats, the mean over an example's targets: 0 where it is sure."""

    name = "entropy"
    title = "Entropy of the prediction"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "whether what it is sure of is right"
    source = "Shannon 1948"
    bounds = (0.0, float("inf"))

    @override
    def __call__(self, seen: Outputs) -> Measured:
        entropies = torch.special.entr(torch.softmax(seen.target_logits.double(), dim=-1)).sum(dim=-1)
        return Measured(*seen.example_means(entropies))
