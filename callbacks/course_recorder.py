"""Keep what each reading of a fit says of every example."""

from __future__ import annotations

import math
from collections.abc import Sequence

import lightning.pytorch as L
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.callbacks.score_recorder import ScoreRecorder
from typing_extensions import override

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import Measure


class CourseRecorder(ScoreRecorder):
    """Collect measures of every example before the first step of a fit and at each of its readings.

    The reading before the first step is Lightning's sanity check, which this callback asks to be a full one.

    Args:
        measures: that come from one forward pass.

    Attributes:
        readings: optimizer steps and ``<measure>/value`` and ``<measure>/weight`` to dataset to ``[examples]`` of each,
            on every rank.
    """

    def __init__(self, measures: Sequence[Measure]) -> None:
        super().__init__([measure.name for measure in measures])
        self.measures = measures
        self.readings: list[tuple[int, dict[str, dict[str, Floats]]]] = []

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        pl_module.measures = tuple(self.measures)  # type: ignore[assignment]
        trainer.num_sanity_val_steps = math.inf

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)
        step = 0 if trainer.sanity_checking else InfluenceLogger.optimizer_step(trainer)
        self.readings.append((step, self.arrays))
