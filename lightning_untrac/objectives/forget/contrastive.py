"""Push the hidden states of what is forgotten away from those of what stays."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.contrastive import push_apart
from lightning_untrac.functional.pooling import mean_states
from lightning_untrac.objectives.layers import DEFAULT, states_of_views
from lightning_untrac.objectives.partners import PartneredTerm
from lightning_untrac.objectives.terms import Outputs, Seen, Term, Unit


class Contrastive(PartneredTerm):
    """``log mean exp(cosine / temperature)`` between a forget sequence and the retained ones, the mean over sequences.

    Contrastive unlearning for texts without classes. Our reading of the push in Lee et al. (arXiv 2401.10458) and
    DeepCUT (arXiv 2503.14900) where nothing says which retained text is of another class; CLReg (arXiv 2601.22028, of
    which only the abstract was seen) adds such a term to other losses. A sequence stands for itself by the mean of a
    layer's hidden states over the places where its targets are predicted: prompts and padding never count. The nearest
    retained sequences push most. It is at least ``-1/temperature``, so that nothing collapses. Beside it belongs a
    retain term.

    A sequence is held against the retained ones of its whole step, over all ranks: accumulation is refused.

    Args:
        layer: its number from 0, or a share of the depth as a number with a point. That of the last layer is what the
            model normalises.
        temperature: above 0; .7 is that of Lee et al.
        detach_retained: whether only the forget set's states are moved by it; Lee et al. move both.
        views: of each sequence, the first the step's own, the others with dropout; each costs a forward pass more.
        weight: what it is multiplied by.

    Raises:
        ValueError: for numbers out of range.
    """

    name: ClassVar[str] = "contrastive"
    unit: ClassVar[Unit] = "sequence"

    def __init__(
        self,
        layer: int | float = DEFAULT,
        temperature: float = 0.7,
        detach_retained: bool = True,
        views: int = 1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(layer, temperature, detach_retained, views, weight)

    @override
    def __call__(self, seen: Seen) -> Term:
        anchors, kept = self._vectors(seen.forget), self._vectors(seen.of("retain"))
        values = push_apart(anchors, self.partners(kept), temperature=self.temperature)
        return Term(values.sum() / self.views, seen.forget.count("sequence"))

    def _vectors(self, outputs: Outputs) -> Tensor:
        """Of every view, one after the other: ``[views * sequences, width]``."""
        views = states_of_views(outputs, self.layer, self.views)
        return torch.cat([mean_states(states, outputs.places) for states in views])
