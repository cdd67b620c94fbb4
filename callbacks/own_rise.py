"""End an episode where the unlearned dataset's own loss has risen by a given amount, and read the influences there."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as L
import torch
from lightning_untrac.callbacks.read_at_strength import ReadAtStrength
from typing_extensions import override

from lightning_untrac.functional import example_losses
from lightning_untrac.metrics import DatasetLoss


class OwnRise(ReadAtStrength):
    """Strength is how far the loss of the very dataset that is unlearned has risen, nats per token.

    It costs a forward pass over ``max_examples`` examples of it a reading.

    Args:
        target: rise in nats per token.
        max_examples: how many examples (or blocks) of the dataset are measured, drawn once.
    """

    def __init__(self, target: float = 0.02, max_examples: int = 96) -> None:
        super().__init__(target, max_examples)
        self._start = math.nan

    @override
    def start(self, trainer: L.Trainer, module: Any) -> None:
        self._start = self._own_loss(trainer, module)

    @override
    def strength(self, trainer: L.Trainer, module: Any) -> float:
        return self._own_loss(trainer, module) - self._start

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "start": self._start}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._start = state_dict["start"]

    @override
    def note(self, dataset: str, seed: int) -> str:
        return (
            f"unlearning {dataset} (seed {seed}) raised its own loss by {self.unreached[dataset, seed]:.4f} nats per "
            f"token and not by {self.target}; its influences are those of the last step. Take more steps or a higher "
            "learning rate"
        )

    @torch.no_grad()
    def _own_loss(self, trainer: L.Trainer, module: Any) -> float:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        metric = DatasetLoss(1).to(module.device)
        with module.without_dropout(), trainer.precision_plugin.val_step_context():
            for batch in data.sample_dataloader(data.current_episode.dataset, self.max_examples):
                sums, counts = example_losses(*module(trainer.strategy.batch_to_device(batch)))
                index = (batch[key].to(module.device) for key in ("dataset_index", "example_index"))
                metric.update(sums, counts, *index)
        return float(metric.losses().token_loss[0])
