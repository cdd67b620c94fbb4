"""Plain training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from lightning_untrac.objectives.base import MeasuresLoss, Objective

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class Descent(Objective):
    """The mean loss per token: training, for methods that go on with it (leave-out continuation)."""

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        return module.mean_loss(batch)
