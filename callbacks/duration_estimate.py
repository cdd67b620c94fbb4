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
from lightning_untrac.functional.costs import Speeds, Work, duration, seconds_of, straight_line
from lightning_untrac.naming import counted

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
        self._read: list[tuple[float, float]] = []
        self._began = self._update_began = self._batch_began = 0.0
        self._batches, self._tokens, self._seconds = 0, 0, 0.0
        self._updates, self._updating = 0, 0.0
        self._works: Mapping[str, Work] = {}

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Before an episode is finished, which would not count any more.
        _, replicas = data_parallel_rank(trainer)
        self._works = dict(self.work(trainer.accumulate_grad_batches, replicas))

    # -- readings --------------------------------------------------------------------------------------------------

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._reading is None:
            self._began = now(pl_module)

    @override
    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._reading is None:
            self._batch_began = now(pl_module)

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        if self._reading is None:
            self._read.append((float(batch["input_ids"].numel()), now(pl_module) - self._batch_began))

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._reading is None:
            self._reading = now(pl_module) - self._began

    # -- steps -----------------------------------------------------------------------------------------------------

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._said:
            self._began, self._update_began = now(pl_module), 0.0

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if not self._said:
            self._update_began = now(pl_module)

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._said:
            return
        self._batches += 1
        if self._batches > WARM_UP_BATCHES:
            end = now(pl_module)
            self._seconds += (self._update_began or end) - self._began
            self._tokens += batch["input_ids"].numel()
            if self._update_began:
                self._updating += end - self._update_began
                self._updates += 1
        enough = self._batches == WARM_UP_BATCHES + TIMED_BATCHES or trainer.is_last_batch
        # Without a reading before the first step, this waits for the first in the episode.
        if enough and self._tokens and self._reading is not None:
            self._said = True
            self._say(trainer)

    # -- the estimate ----------------------------------------------------------------------------------------------

    def _say(self, trainer: L.Trainer) -> None:
        if trainer.progress_bar_callback is not self.progress:  # turned off, or the user's own
            return
        works = self._works
        mine, *_ = works
        speeds = self._speeds(trainer.accumulate_grad_batches, works[mine].reading_tokens)
        times = {method: duration(seconds_of(work, speeds)) for method, work in works.items()}
        done = works[mine]
        others = "".join(f"; {method} would take about {times[method]}" for method in works if method != mine)
        about = "at most" if self.at_most else "about"
        self.progress.announce(
            f"{mine}: {counted(done.episodes, 'episode')} with {counted(done.steps, 'step')} and "
            f"{counted(done.readings, 'reading')} in all, {about} {times[mine]}{others}"
        )

    def _speeds(self, accumulation: int, reading_tokens: float) -> Speeds:
        """How fast everything is.

        The batches that were timed are all of one size, and those of another method may be hundreds of times larger or
        smaller, with other costs of a token. How the time of a batch depends on its size is therefore taken from the
        readings, whose batches have several sizes, and scaled to what a step took.
        """
        assert self._reading is not None
        batches = self._batches - WARM_UP_BATCHES
        tokens, seconds = self._tokens / batches, self._seconds / batches
        fixed, per_token = _line(self._read)
        predicted = fixed + per_token * tokens
        times = seconds / predicted if predicted else 0.0
        update = self._updating / self._updates if self._updates else 0.0
        return Speeds(
            update + times * fixed * accumulation,
            times * per_token if predicted else seconds / tokens,
            0.0,
            self._reading / reading_tokens if reading_tokens else 0.0,
        )


def _line(read: list[tuple[float, float]]) -> tuple[float, float]:
    """Seconds of a batch of a reading whatever its size, and of each of its tokens."""
    timed = read[WARM_UP_BATCHES:] or read
    return straight_line(*map(list, zip(*timed, strict=True))) if timed else (0.0, 0.0)


def now(module: L.LightningModule) -> float:
    """Seconds, once the device has done what it was asked to."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter()
