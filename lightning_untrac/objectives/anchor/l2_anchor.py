"""Hold the weights to where they started, all alike."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.functional.retention import anchor_penalty
from lightning_untrac.objectives.terms import Anchor, Seen, Term


class L2Anchor(Anchor):
    """``weight/2 sum_i (theta_i - theta_0,i)^2``: the squared distance from the pre-unlearning weights.

    Args:
        weight: of the anchor; 0 is none. It has no default: what is strong depends on the model's size and weights.
    """

    needs_whole_weights: ClassVar[bool] = False

    def __init__(self, weight: float) -> None:
        super().__init__(weight)

    @override
    def __call__(self, seen: Seen) -> Term:
        assert seen.weights is not None
        assert seen.start is not None
        ones: dict[str, Any] = {name: torch.ones((), device=w.device) for name, w in seen.weights.items()}
        return Term(anchor_penalty(seen.weights, seen.start, ones), 1)
