"""End forgetting once the loss of the forget set has gone a share of the way to a uniform guess."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from typing_extensions import override

from lightning_untrac.functional import uniform_guess_loss


class UntilRise(EndsForgetting):
    """End forgetting when a step's loss on the forget set is ``L_0 + share (ln V - L_0)`` or more.

    ``L_0`` is what the first step measures: the loss of the pre-unlearning model on its batch. ``ln V`` is the loss of
    a uniform guess; a model beyond it is not ignorant but avoids the answer. The rule needs no truth and no holdout. It
    reads the loss of a step's whole effective batch, which the step computes anyway.

    The episode ends, or heals where :class:`~lightning_untrac.callbacks.Healing` is there too.

    Args:
        share: of the way, above 0 and at most 1.

    Attributes:
        level: loss at which forgetting ends, nats per token, once the first step has been measured.

    Raises:
        ValueError: for another share.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"UntilRise({share}): give a share of the way above 0 and at most 1, e.g. 0.5")
        super().__init__()
        self.share = share
        self.level: float | None = None
        self._sums: list[torch.Tensor] = []

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.level = self.reason = self.standing = None
        self._sums = []

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        if pl_module.healing or pl_module.episode_ended:
            return
        count = pl_module.num_targets(batch).double()
        self._sums.append(torch.stack([outputs["measured_loss"].detach().double() * count, count]))
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        total, count = torch.as_tensor(trainer.strategy.reduce(sum(self._sums), reduce_op="sum")).tolist()
        self._sums = []
        if not count:
            return
        loss = total / count
        if self.level is None:
            self.level = loss + self.share * (uniform_guess_loss(pl_module.num_outcomes) - loss)
        way = f"{self.share:.0%} of the way to a uniform guess"
        if loss >= self.level:
            self.reason, self.standing = f"the loss {loss:.2f} is {way}", None
            pl_module.end_forgetting()
        else:
            self.standing = f"the loss {loss:.2f} has not reached {self.level:.2f}, {way}"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"level": self.level, "reason": self.reason, "standing": self.standing}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.level, self.reason, self.standing = (state_dict[key] for key in ("level", "reason", "standing"))
