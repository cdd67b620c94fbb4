"""Forget only in directions that do no harm to what must stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.retention import remove_conflict
from lightning_untrac.objectives.rectify.base import Rectifier


class GRU(Rectifier):
    """Gradient rectified unlearning: the forget term's gradient without what would raise the retained loss.

    Wang et al. 2025, as in the authors' code (tmlr-group/GRU). m is a running average of the gradient r of the retain
    terms, ``m = momentum r + (1 - momentum) m``; where ``<g, m>`` is below 0 the forget gradient g gives up its
    component along m. That m begins as the first step's r, and that r is the gradient of whatever retain terms and
    anchor there are, is our reading. It goes with any forget term and at least one retain term. Where m is what
    rounding left of 0, as that of a KL term alone is before the first step, it has no direction, and g stays as it is.

    Memory: three more gradients on the device, m also in checkpoints; where weights are sharded (FSDP2), each rank
    holds its part of those. ``precision: 16-mixed`` is refused: both gradients are needed apart, and unscaled.

    Args:
        momentum: weight of the newest retain gradient in m, above 0 and at most 1; the authors' code has .8.
        descends: whether the retain terms' own gradient is also a part of the step.
        least_cosine: where g and m point further apart, less than all of the component is given up: the authors'
            clipped form, which has -.5. From -1 (all of it) to 0.

    Raises:
        ValueError: for numbers out of range.
    """

    needs_whole_weights: ClassVar[bool] = False

    def __init__(self, momentum: float = 0.8, descends: bool = True, least_cosine: float = -1.0) -> None:
        if not 0 < momentum <= 1:
            raise ValueError(f"GRU(momentum={momentum}): give a number above 0 and at most 1, e.g. 0.8")
        if not -1 <= least_cosine <= 0:
            raise ValueError(f"GRU(least_cosine={least_cosine}): give a number from -1 to 0, e.g. -0.5")
        self.momentum, self.descends, self.least_cosine = momentum, descends, least_cosine
        self._average: dict[str, Tensor] = {}

    @override
    def prepare(self) -> None:
        self._average = {}

    @override
    def __call__(self, forget: Mapping[str, Tensor], retain: Mapping[str, Tensor]) -> dict[str, Tensor]:
        before = {name: self._average.get(name, r).to(r.device) for name, r in retain.items()}
        self._average = {n: self.momentum * r + (1 - self.momentum) * before[n] for n, r in retain.items()}
        rectified, _ = remove_conflict(forget, self._average, self.least_cosine, self.sum_over_shards)
        if not self.descends:
            return rectified
        return {name: gradient + retain[name] for name, gradient in rectified.items()}

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"average": self._average}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._average = dict(state["average"])
