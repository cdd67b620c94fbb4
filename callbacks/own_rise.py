"""End an episode where the unlearned dataset's own loss has risen by a given amount, and read the influences there."""

from __future__ import annotations

import math
import warnings
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from lightning_untrac.functional import example_losses
from lightning_untrac.metrics import DatasetLoss, DatasetLosses

RISE_READINGS = sorted({base << power for power in range(24) for base in (2, 3)} | {1})
"""Steps at which an episode is read that ends by its rise (1, 2, 3, 4, 6, 8, 12, ...): nobody knows where that is, and
between two readings of a slow start little is lost by interpolating."""


class RiseWarning(UserWarning):
    """An episode ended before its dataset's own loss had risen as far as was asked."""


class OwnRise(Callback):
    """Read every episode at the same strength, whatever the learning rate and the corpus.

    A fixed number of steps takes an easy corpus further than a hard one. This callback measures the loss of the very
    dataset that is unlearned, at the start weights and at every reading. Once it has risen by ``target`` the episode
    ends, and :class:`~lightning_untrac.callbacks.InfluenceLogger` reads the influences where the rise was exactly
    that: on the straight line between this reading and the one before (or the start weights), so also inside a step.

    It costs a forward pass over ``max_examples`` examples a reading, and no truth is needed. Put it before the
    ``InfluenceLogger`` and after ``PreUnlearningWeights``.

    Args:
        target: rise in nats per token.
        max_examples: how many examples (or blocks) of the dataset are measured, drawn once.

    Attributes:
        unreached: the rise at the end of the episodes that did not come that far, by (dataset, seed); their
            influences are those of their last step, and a warning says so.

    Raises:
        ValueError: for a target that is not above 0, or no examples.
    """

    def __init__(self, target: float = 0.02, max_examples: int = 96) -> None:
        if not 0 < target < math.inf or max_examples < 1:
            raise ValueError(
                f"OwnRise(target={target}, max_examples={max_examples}): give a rise above 0 in nats per token, "
                "e.g. 0.02, and at least 1 example"
            )
        self.target, self.max_examples = target, max_examples
        self.unreached: dict[tuple[str, int], float] = {}
        self._start = math.nan
        self._rises = (0.0, 0.0)
        self._previous: DatasetLosses | None = None

    @property
    def reached(self) -> bool:
        """Whether the last reading is that far."""
        return self._rises[1] >= self.target

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = self._own_loss(trainer, pl_module)
        self._rises, self._previous = (0.0, 0.0), None

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        rise = self._own_loss(trainer, pl_module) - self._start
        # Of a number that is not finite only the guard knows what to make.
        self._rises = (self._rises[1], rise if math.isfinite(rise) else 0.0)
        if self.reached and not pl_module.episode_ended:
            pl_module.end_episode()

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.reached:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode = data.current_episode
        self.unreached[episode.dataset, episode.seed] = self._rises[1]
        if trainer.is_global_zero:
            warnings.warn(self.note(episode.dataset, episode.seed), RiseWarning, stacklevel=2)

    def note(self, dataset: str, seed: int) -> str:
        """What to say about an episode that did not come far enough."""
        return (
            f"unlearning {dataset} (seed {seed}) raised its own loss by {self.unreached[dataset, seed]:.4f} nats per "
            f"token and not by {self.target}; its influences are those of the last step. Take more steps or a higher "
            "learning rate"
        )

    def interpolate(self, start: DatasetLosses, now: DatasetLosses) -> DatasetLosses:
        """The losses where the rise was the target; those of the reading itself before it is reached.

        Args:
            start: losses at the start weights.
            now: losses of the reading that this callback has just seen.
        """
        before, self._previous = self._previous or start, now
        if not self.reached:
            return now
        low, high = self._rises
        share = (self.target - low) / (high - low)
        # Tokens and examples are as many in both, so that their line is level.
        token_loss, example_loss, parts = (
            None if old is None or new is None else old + share * (new - old)
            for old, new in (
                (getattr(before, name), getattr(now, name)) for name in ("token_loss", "example_loss", "parts")
            )
        )
        return now._replace(token_loss=token_loss, example_loss=example_loss, parts=parts)

    @torch.no_grad()
    def _own_loss(self, trainer: L.Trainer, module: Any) -> float:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        metric = DatasetLoss(1).to(module.device)
        was_training = module.model.training
        module.model.eval()
        with trainer.precision_plugin.val_step_context():
            for batch in data.sample_dataloader(data.current_episode.dataset, self.max_examples):
                sums, counts = example_losses(*module(trainer.strategy.batch_to_device(batch)))
                index = (batch[key].to(module.device) for key in ("dataset_index", "example_index"))
                metric.update(sums, counts, *index)
        module.model.train(was_training)
        return float(metric.losses().token_loss[0])
