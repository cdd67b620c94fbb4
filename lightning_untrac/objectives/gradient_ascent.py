"""Gradient ascent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from lightning_untrac.objectives.base import MeasuresLoss, Objective

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class GradientAscent(Objective):
    """Minus the mean loss per token: UnTrac's objective (eq. 3), and the simplest way to forget.

    It has no lower bound: see :class:`~lightning_untrac.callbacks.CollapseGuard`.
    """

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        return -module.mean_loss(batch)
