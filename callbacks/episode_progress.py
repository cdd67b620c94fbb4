"""A progress bar that names the phase, the dataset, the episode and the time left."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import override

from lightning_untrac.console import console
from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.episodes import CONTROL, WITHOUT_ONE
from lightning_untrac.data.lengths import limited


class EpisodeProgress(ProgressBar):
    """One rich bar over all optimizer steps of all episodes of a fit.

    Where the output is no terminal (a log file, a cluster's job) it prints a line an episode instead.

    Args:
        phase: what the bar calls this run, e.g. ``untrac``.
    """

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase
        self._enabled = True
        self._progress: Progress | None = None
        self._task: Any = None
        self._console = console(stderr=True)

    @override
    def disable(self) -> None:
        self._enabled = False

    @override
    def enable(self) -> None:
        self._enabled = True

    @property
    def _is_live(self) -> bool:
        return self._enabled and self._console.is_terminal

    def _say(self, text: str) -> None:
        if self._enabled and not self._console.is_terminal:
            self._console.print(text, soft_wrap=True, highlight=False)

    def announce(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._enabled:
            self._console.print(text, soft_wrap=True, highlight=False)

    @override
    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._say(f"{self.phase}: reading the losses at the start weights")
        self._start("reading the losses at the start weights", None)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._progress is None:
            self._start(self._describe(trainer), self._total(trainer))

    def _start(self, description: str, total: int | None) -> None:
        if not self._is_live:
            return
        self._progress = Progress(
            TextColumn("[bold]{task.fields[phase]}[/]"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
        )
        self._progress.start()
        self._task = self._progress.add_task(description, total=total, phase=self.phase)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._say(f"{self.phase}: {self._describe(trainer)}, {int(trainer.num_training_batches)} batches")
        if self._progress is not None:
            done = sum(self._lengths(trainer)[: trainer.current_epoch])
            self._progress.update(
                self._task, description=self._describe(trainer), total=self._total(trainer), completed=done
            )

    @override
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self._progress is not None:
            self._progress.advance(self._task)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._progress is not None and not trainer.sanity_checking:
            self._progress.update(self._task, description=f"{self._describe(trainer)} [dim](reading losses)[/]")

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._progress is not None and not trainer.sanity_checking:
            self._progress.update(self._task, description=self._describe(trainer))

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._stop()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _describe(self, trainer: L.Trainer) -> str:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episodes = data.episodes()
        episode = episodes[min(trainer.current_epoch, len(episodes) - 1)]
        plan = data.active_plan
        kind = plan.kind
        mine = {(n, int(s)) for s in plan.seeds for n in plan.datasets(data.corpus_names, data.test_set_names)}
        finished = len(mine & plan.done)  # by an earlier run of the same command
        number = f"{finished + trainer.current_epoch + 1} of {finished + (trainer.max_epochs or 0)}"
        if kind == "mixture":
            return f"all corpora, pass {number}"
        left_out = kind in WITHOUT_ONE and episode.dataset != CONTROL
        name = f"without {episode.dataset}" if left_out else episode.dataset
        return f"{name}, episode {number}, seed {episode.seed}"

    def _lengths(self, trainer: L.Trainer) -> list[int]:
        """Batches of each episode, known before it starts; a limit on training batches holds for each."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        rank, replicas = data_parallel_rank(trainer)
        samplers = (data.sampler(e, trainer.accumulate_grad_batches, rank, replicas) for e in data.episodes())
        lengths = [limited(len(sampler), trainer.limit_train_batches) for sampler in samplers]
        return lengths[: trainer.max_epochs]

    def _total(self, trainer: L.Trainer) -> int:
        total = sum(self._lengths(trainer))
        return min(total, trainer.max_steps * trainer.accumulate_grad_batches) if trainer.max_steps > 0 else total
