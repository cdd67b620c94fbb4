"""Hold the hidden states of a layer on what must stay."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.hidden_states import state_distance
from lightning_untrac.objectives.layers import (
    DEFAULT,
    checked_layer,
    layer_problems,
    reference_target_states,
    target_states,
)
from lightning_untrac.objectives.terms import Need, RetainTerm, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class RetainHiddenStates(RetainTerm):
    """Mean squared distance of a layer's hidden states from those before unlearning, the mean over target tokens.

    RMU's retain term (Li et al. 2024, arXiv 2403.03218). It is 0 with a zero gradient at the start.

    Args:
        weight: what it is multiplied by. The paper has 1200 for Zephyr-7B, open-unlearning 1.
        layer: its number from 0, or a share of the depth as a number with a point: that of the forget term.

    Raises:
        ValueError: for a layer that can't be.
    """

    name: ClassVar[str] = "hidden"
    needs: ClassVar[frozenset[Need]] = frozenset({"hidden_states", "reference_hidden_states"})
    reaches_all: ClassVar[bool] = False

    def __init__(self, weight: float = 1.0, layer: int | float = DEFAULT) -> None:
        super().__init__(weight)
        self.layer = checked_layer("RetainHiddenStates", layer)

    @override
    def nothing(self, seen: Seen) -> Term:
        return Term(target_states(seen.of("retain"), self.layer).sum(), 0)

    @override
    def problems(self, module: Unlearns) -> list[str]:
        return layer_problems("RetainHiddenStates", self.layer, module.num_layers)

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.of("retain")
        return Term.of(state_distance(target_states(outputs, self.layer), reference_target_states(outputs, self.layer)))
