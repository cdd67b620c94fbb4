"""Misdirect the hidden states of a layer."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from lightning_untrac.functional.hidden_states import random_direction, state_distance
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.layers import DEFAULT, checked_layer, layer_problems, target_states
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class RMU(ForgetTerm):
    """Mean squared distance of a layer's hidden states from ``coefficient u``, the mean over target tokens.

    Representation misdirection for unlearning (Li et al. 2024, WMDP, arXiv 2403.03218). u is a random direction, drawn
    once from the episode's seed, so that it is the same on every rank and in a run that goes on. States are taken where
    a target is predicted: prompts and padding never count. Beside it belongs
    :class:`~lightning_untrac.objectives.RetainHiddenStates` of the same layer. The paper moves three matrices of
    layers 5 to 7 only, which ``model.trainable`` can do. No gradient reaches the layers behind this one.

    Args:
        layer: its number from 0, or a share of the depth as a number with a point; .25 is layer 7 of the paper's 32.
            The states of the last layer are those that the model normalises.
        coefficient: length of the vector that states are drawn to, above 0; 6.5 is the paper's for Zephyr-7B.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a layer or a coefficient that can't be.
    """

    name: ClassVar[str] = "rmu"
    needs: ClassVar[frozenset[Need]] = frozenset({"hidden_states"})
    reaches_all: ClassVar[bool] = False

    def __init__(self, layer: int | float = DEFAULT, coefficient: float = 6.5, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.layer = checked_layer("RMU", layer)
        self.coefficient = positive("RMU", "coefficient", coefficient, 6.5)
        self._seed = 0

    @override
    def nothing(self, seen: Seen) -> Term:
        return Term(target_states(seen.forget, self.layer).sum(), 0)

    @override
    def problems(self, module: Unlearns) -> list[str]:
        return layer_problems("RMU", self.layer, module.num_layers)

    @override
    def prepare(self, module: Unlearns) -> None:
        self._seed = module.episode_seed

    @override
    def __call__(self, seen: Seen) -> Term:
        states = target_states(seen.forget, self.layer)
        aim = self.coefficient * random_direction(states.shape[-1], self._seed)
        return Term.of(state_distance(states, aim.to(states)))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seed = int(state["seed"])
