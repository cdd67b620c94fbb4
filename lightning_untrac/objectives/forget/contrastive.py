"""Push the hidden states of what is forgotten away from those of what stays."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.contrastive import push_apart
from lightning_untrac.functional.pooling import mean_states
from lightning_untrac.objectives.checks import positive, whole_number
from lightning_untrac.objectives.layers import DEFAULT, checked_layer, layer_problems, states_of_views
from lightning_untrac.objectives.partners import of_all_ranks
from lightning_untrac.objectives.terms import ForgetTerm, Need, Outputs, Seen, Stream, Term, Unit
from lightning_untrac.objectives.unlearns import Unlearns


class Contrastive(ForgetTerm):
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
    streams: ClassVar[tuple[Stream, ...]] = ("forget", "retain")
    needs: ClassVar[frozenset[Need]] = frozenset({"hidden_states"})
    reaches_all: ClassVar[bool] = False
    pairs_examples: ClassVar[bool] = True

    def __init__(
        self,
        layer: int | float = DEFAULT,
        temperature: float = 0.7,
        detach_retained: bool = True,
        views: int = 1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.layer = checked_layer("Contrastive", layer)
        self.temperature = positive("Contrastive", "temperature", temperature, 0.7)
        self.detach_retained = detach_retained
        self.views = whole_number("Contrastive", "views", views, least=1)

    @override
    def nothing(self, seen: Seen) -> Term:
        return self(seen)  # the other ranks wait for what this one has

    @override
    def problems(self, module: Unlearns) -> list[str]:
        return layer_problems("Contrastive", self.layer, module.num_layers)

    @override
    def __call__(self, seen: Seen) -> Term:
        anchors, kept = self._vectors(seen.forget), self._vectors(seen.of("retain"))
        partners = of_all_ranks(kept.detach() if self.detach_retained else kept)
        values = push_apart(anchors, partners, temperature=self.temperature)
        return Term(values.sum() / self.views, seen.forget.count("sequence"))

    def _vectors(self, outputs: Outputs) -> Tensor:
        """Of every view, one after the other: ``[views * sequences, width]``."""
        views = states_of_views(outputs, self.layer, self.views)
        return torch.cat([mean_states(states, outputs.places) for states in views])
