"""End an episode at a reading whose numbers say that it has gone far enough."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from typing_extensions import override

from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.errors import raise_if_any
from lightning_untrac.registry import did_you_mean


class StoppingRule(EndsForgetting, ABC):
    """End forgetting once a reading meets a condition; a subclass says which. The episode ends, or begins to heal.

    A rule acts at readings (see :class:`~lightning_untrac.callbacks.ReadingSchedule`), so it is as fine as they are.
    Every rank is told the same. It may stand anywhere among the Trainer's callbacks: it moves itself before those that
    record readings, because the reading that ends an episode is its last one. A checkpoint keeps what it has counted.
    """

    @abstractmethod
    def met(self, trainer: L.Trainer, module: Any) -> str | None:
        """Why the episode ends at this reading, as a clause; None where it goes on. Sets ``standing``.

        Args:
            trainer: whose validation has just been made.
            module: that is unlearned.
        """

    def begin(self, trainer: L.Trainer, module: Any) -> None:
        """Look at the reading before the first step."""

    def forget(self) -> None:
        """Begin to count anew, for another episode."""

    def reads(self, data: Any, plan: EpisodePlan) -> Sequence[str]:
        """Names of the datasets whose numbers the rule needs.

        Args:
            data: the prepared DataModule.
            plan: its episodes.
        """
        return forget_sets(data, plan)

    def problems(self, module: Any, data: Any, plan: EpisodePlan, measures: Sequence[str]) -> list[str]:
        """Why the rule can't work in a fit.

        Args:
            module: that is fitted.
            data: the prepared DataModule.
            plan: its episodes.
            measures: names of what is measured at each reading.
        """
        if not hasattr(module, "end_forgetting"):
            return [f"{self}: it ends an unlearning, and {type(module).__name__} is none; leave it out"]
        evaluated = evaluated_names(data, plan)
        return [
            f"{self}: it needs {name!r}, which these readings do not measure; {did_you_mean(name, evaluated)}they "
            f"measure {', '.join(evaluated) or 'nothing'}"
            for name in self.reads(data, plan)
            if name not in evaluated
        ]

    def __str__(self) -> str:
        return type(self).__name__

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        trainer.num_sanity_val_steps = math.inf
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        recorder = _recorder(trainer)
        measures = [] if recorder is None else [measure.name for measure in recorder.measures]
        raise_if_any(self.problems(pl_module, data, data.active_plan, measures))
        every: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        others = [one for one in every if one is not self]
        records = [i for i, one in enumerate(others) if isinstance(one, InfluenceLogger | MeasureRecorder)]
        place = records[0] if records else len(others)
        # A new list, because Lightning goes through the old one now.
        trainer.callbacks = [*others[:place], self, *others[place:]]  # type: ignore[attr-defined]

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.reason is not None and not pl_module.healing:  # a fit that was killed after its last reading
            pl_module.end_forgetting()

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.reason = self.standing = None
        self.forget()

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking:
            self.begin(trainer, pl_module)
        elif trainer.state.fn == TrainerFn.FITTING and not (pl_module.episode_ended or pl_module.healing):
            self.reason = trainer.strategy.broadcast(self.met(trainer, pl_module))
            if self.reason is not None:
                pl_module.end_forgetting()

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"reason": self.reason, "standing": self.standing}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reason, self.standing = state_dict["reason"], state_dict["standing"]


def evaluated_names(data: Any, plan: EpisodePlan) -> list[str]:
    """Names of the datasets that a plan's readings measure."""
    before, data.plan = data.plan, plan
    try:
        return list(data.evaluation_names)
    finally:
        data.plan = before


def forget_sets(data: Any, plan: EpisodePlan) -> list[str]:
    """Names of the datasets that a plan unlearns."""
    return plan.datasets(*data.episode_names(plan))


def read_loss(trainer: L.Trainer, module: Any, names: Sequence[str]) -> float:
    """Loss per target token of the newest reading over all of some datasets, nats; NaN where they have no target."""
    found = module.dataset_losses.losses().cpu()
    evaluated = trainer.datamodule.evaluation_names  # type: ignore[attr-defined]
    places = [evaluated.index(name) for name in names]
    losses, tokens = found.token_loss[places], found.num_tokens[places].double()
    return float(torch.where(tokens > 0, losses * tokens, 0.0).sum() / tokens.sum())


def read_measure(trainer: L.Trainer, module: Any, measure: str, name: str) -> float:
    """A measure's mean of the newest reading over a dataset."""
    recorder = _recorder(trainer)
    if measure == "loss" and recorder is None:
        return read_loss(trainer, module, [name])
    assert recorder is not None  # `problems` has asked
    return recorder.mean(trainer, measure, name)


def _recorder(trainer: L.Trainer) -> MeasureRecorder | None:
    return next((one for one in trainer.callbacks if isinstance(one, MeasureRecorder)), None)  # type: ignore[attr-defined]
