"""Read every episode at the same strength of unlearning, whatever the learning rate and the corpus."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from lightning_untrac.metrics import DatasetLosses

STRENGTH_READINGS = sorted({base << power for power in range(24) for base in (2, 3)} | {1})
"""Steps at which an episode is read that ends by its strength (1, 2, 3, 4, 6, 8, 12, ...): nobody knows where that is,
and between two readings of a slow start little is lost by interpolating."""


class StrengthWarning(UserWarning):
    """An episode ended before it had come as far as was asked."""


class ReadAtStrength(Callback, ABC):
    """End an episode once a measured strength has reached a target, and read the influences where it was that.

    A fixed number of steps takes an easy corpus further than a hard one. A subclass measures how far an episode has
    come, at the start weights and at every reading. Once that is ``target`` the episode ends, and
    :class:`~lightning_untrac.callbacks.InfluenceLogger` reads the influences where it was exactly that: on the straight
    line between this reading and the one before (or the start weights), so also inside a step. No truth is needed.

    Put it before the ``InfluenceLogger`` and after ``PreUnlearningWeights``.

    Args:
        target: of :meth:`strength`, above 0.
        max_examples: how many examples (or blocks) are measured, drawn once.

    Attributes:
        unreached: the strength at the end of the episodes that did not come that far, by (dataset, seed); their
            influences are those of their last step, and a warning says so.

    Raises:
        ValueError: for a target that is not above 0, or no examples.
    """

    example: ClassVar[float] = 0.02

    def __init__(self, target: float, max_examples: int = 96) -> None:
        if not 0 < target < math.inf or max_examples < 1:
            raise ValueError(
                f"{type(self).__name__}(target={target}, max_examples={max_examples}): give nats per token above 0, "
                f"e.g. {self.example}, and at least 1 example"
            )
        self.target, self.max_examples = target, max_examples
        self.unreached: dict[tuple[str, int], float] = {}
        self._strengths = (0.0, 0.0)
        self._previous: DatasetLosses | None = None

    @abstractmethod
    def start(self, trainer: L.Trainer, module: Any) -> None:
        """Measure what :meth:`strength` needs, at the start weights of an episode."""

    @abstractmethod
    def strength(self, trainer: L.Trainer, module: Any) -> float:
        """How far the episode has come; about proportional to how far the weights have moved, and 0 at the start."""

    @abstractmethod
    def note(self, dataset: str, seed: int) -> str:
        """What to say about an episode that did not come far enough."""

    @property
    def reached(self) -> bool:
        """Whether the last reading is that far."""
        return self._strengths[1] >= self.target

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.start(trainer, pl_module)
        self._strengths, self._previous = (0.0, 0.0), None

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        strength = self.strength(trainer, pl_module)
        # Of a number that is not finite only the guard knows what to make.
        self._strengths = (self._strengths[1], strength if math.isfinite(strength) else 0.0)
        if self.reached and not pl_module.episode_ended:
            pl_module.end_episode()

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.reached:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode = data.current_episode
        self.unreached[episode.dataset, episode.seed] = self._strengths[1]
        if trainer.is_global_zero:
            warnings.warn(self.note(episode.dataset, episode.seed), StrengthWarning, stacklevel=2)

    @override
    def state_dict(self) -> dict[str, Any]:
        previous = None if self._previous is None else self._previous.as_lists()
        unreached = [(*episode, strength) for episode, strength in self.unreached.items()]
        return {"strengths": list(self._strengths), "previous": previous, "unreached": unreached}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        low, high = state_dict["strengths"]
        self._strengths = (low, high)
        previous = state_dict["previous"]
        self._previous = None if previous is None else DatasetLosses.of_lists(previous)
        self.unreached = {(dataset, seed): strength for dataset, seed, strength in state_dict["unreached"]}

    def notes(self) -> list[str]:
        """A note for each episode that did not come far enough."""
        return [self.note(*episode) for episode in self.unreached]

    def interpolate(self, start: DatasetLosses, now: DatasetLosses) -> DatasetLosses:
        """The losses where the strength was the target; those of the reading itself before it is reached.

        Args:
            start: losses at the start weights.
            now: losses of the reading that this callback has just seen.
        """
        before, self._previous = self._previous or start, now
        if not self.reached:
            return now
        low, high = self._strengths
        share = (self.target - low) / (high - low)
        parts = None
        if before.parts is not None and now.parts is not None:  # tokens and examples are as many in both
            parts = before.parts + share * (now.parts - before.parts)
        token_loss, example_loss = (old + share * (new - old) for old, new in zip(before[:2], now[:2], strict=True))
        return now._replace(token_loss=token_loss, example_loss=example_loss, parts=parts)
