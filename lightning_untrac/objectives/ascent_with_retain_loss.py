"""Gradient difference: ascent on what must go, descent on what must stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import override

from lightning_untrac.objectives.base import MeasuresLoss, Objective, Unlearns
from lightning_untrac.objectives.checks import non_negative

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class AscentWithRetainLoss(Objective):
    """``-L(forget) + w L(retain)``: gradient difference (Liu, Liu and Stone 2022, arXiv 2203.12817; in TOFU, GradDiff).

    Both losses are means per target token, in nats, each over the whole effective batch. In an untouched model the
    retained loss has hardly a gradient where training has converged; it pulls back once the ascent does harm.

    It costs a second forward and backward pass a step, and its activations.

    Args:
        retain_weight: w; 0 is plain ascent.

    Raises:
        ValueError: for a weight below 0.
    """

    needs_retain: ClassVar[bool] = True

    def __init__(self, retain_weight: float = 1.0) -> None:
        self.retain_weight = non_negative("AscentWithRetainLoss", "retain_weight", retain_weight)

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        return -module.mean_loss(batch)

    @override
    def on_retained(self, module: Unlearns, batch: LanguageBatch) -> Tensor:
        return self.retain_weight * module.mean_loss(batch)
