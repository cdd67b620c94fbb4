"""Say how long a run will take, as soon as its first steps and its first reading were timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.episode_progress import EpisodeProgress
from typing_extensions import override

from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.functional.costs import Speeds, Work, duration, seconds_of

WARM_UP_BATCHES, TIMED_BATCHES = 1, 4
"""Batches before the clock starts (memory is allocated, kernels are chosen), and batches that are timed."""


class DurationEstimate(Callback):
    """Print what ``untrac plan`` would have said, measured on the run itself, so that it costs nothing.

    Args:
        progress: whose console is printed to.
        work: gives what there is to do, the run's own first and then that of methods that could stand in its place,
            from (accumulated batches, ranks).
        at_most: whether episodes may end before their last step.
    """

    def __init__(
        self, progress: EpisodeProgress, work: Callable[[int, int], Mapping[str, Work]], at_most: bool = False
    ) -> None:
        self.progress, self.work, self.at_most = progress, work, at_most
        self._said = False
        self._reading: float | None = None
        self._began = 0.0
        self._batches, self._tokens, self._seconds = 0, 0, 0.0

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._reading is None:
            self._began = now(pl_module)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._reading is None:
            self._reading = now(pl_module) - self._began

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._said:
            self._began = now(pl_module)

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._said:
            return
        self._batches += 1
        if self._batches > WARM_UP_BATCHES:
            self._seconds += now(pl_module) - self._began
            self._tokens += batch["input_ids"].numel()
        enough = self._batches == WARM_UP_BATCHES + TIMED_BATCHES or trainer.is_last_batch
        # Without a reading before the first step, this waits for the first in the episode.
        if enough and self._tokens and self._reading is not None:
            self._said = True
            self._say(trainer)

    def _say(self, trainer: L.Trainer) -> None:
        if trainer.progress_bar_callback is not self.progress:  # turned off, or the user's own
            return
        _, replicas = data_parallel_rank(trainer)
        works = dict(self.work(trainer.accumulate_grad_batches, replicas))
        mine, *_ = works
        read = works[mine].reading_tokens
        assert self._reading is not None
        speeds = Speeds(0.0, self._seconds / self._tokens, 0.0, self._reading / read if read else 0.0)
        times = {method: duration(seconds_of(work, speeds)) for method, work in works.items()}
        done = works[mine]
        others = "".join(f"; {method} would take about {times[method]}" for method in works if method != mine)
        about = "at most" if self.at_most else "about"
        self.progress.announce(
            f"{mine}: {done.episodes} episodes with {done.steps} steps and {done.readings} readings in all, "
            f"{about} {times[mine]}{others}"
        )


def now(module: L.LightningModule) -> float:
    """Seconds, once the device has done what it was asked to."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter()
