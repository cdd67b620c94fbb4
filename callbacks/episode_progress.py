"""A progress bar that names the run, the dataset, the episode, the loss and the time left."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import override

from lightning_untrac.console import console
from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.episodes import CONTROL, NAMED, UNLEARNING, WITHOUT_ONE
from lightning_untrac.data.lengths import limited
from lightning_untrac.naming import counted

SECONDS_BETWEEN_LOSSES, SECONDS_BETWEEN_LINES = 0.5, 60.0
"""How often the bar shows another loss, and a log file gets a line at least."""


class EpisodeProgress(ProgressBar):
    """One rich bar over all optimizer steps of all episodes of a fit.

    Where the output is no terminal (a log file, a cluster's job) it prints a line an episode instead, a line at every
    tenth of a single training, and one whenever a minute has passed.

    Args:
        name: what the bar calls this run, e.g. ``untrac``.
    """

    unit = "steps"
    """What the bar counts."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._enabled = True
        self._progress: Progress | None = None
        self._task: Any = None
        self._console = console(stderr=True)
        self._batches, self._total_batches = 0, 0
        self._shown = 0.0

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
        self._say(f"{self.name}: reading the losses at the start weights")
        self._start("reading the losses at the start weights", None)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if title := getattr(getattr(pl_module, "reference", None), "title", ""):
            self.announce(f"{self.name}: the model before unlearning stands by: {title}")
        if self._progress is None:
            self._start(self._describe(trainer), self._total(trainer))
        self._batches = trainer.global_step * trainer.accumulate_grad_batches
        self._total_batches, self._shown = self._total(trainer), time.monotonic()

    def _start(self, description: str, total: int | None) -> None:
        if not self._is_live:
            return
        self._progress = Progress(
            TextColumn("[bold]{task.fields[name]}[/]"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(self.unit),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
        )
        self._progress.start()
        self._task = self._progress.add_task(description, total=total, name=self.name, loss="")

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._say(f"{self.name}: {self._describe(trainer)}, {counted(int(trainer.num_training_batches), 'batch')}")
        if self._progress is not None:
            done = sum(self._lengths(trainer)[: trainer.current_epoch])
            self._progress.update(
                self._task, description=self._describe(trainer), total=self._total(trainer), completed=done
            )

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches += 1
        if self._progress is not None:
            self._progress.advance(self._task)
        if self._enabled and self._is_due(trainer):
            self._shown = time.monotonic()
            self._show(trainer, self._loss(trainer, outputs))

    def show_work(self, what: str, done: int, of: int) -> None:
        """Name what is done between two steps, and how far it has come.

        Args:
            what: a clause, such as ``writing anti-samples``.
            done: how many of them.
            of: how many there are.
        """
        if self._progress is not None:
            self._progress.update(self._task, description=f"{what} [dim]({done} of {of})[/]")
        elif time.monotonic() - self._shown > SECONDS_BETWEEN_LINES:
            self._shown = time.monotonic()
            self._say(f"{self.name}: {what}, {done} of {of}")

    def _is_due(self, trainer: L.Trainer) -> bool:
        """Whether to show where the fit stands; looking at a loss makes a device wait, so not at every step."""
        passed = time.monotonic() - self._shown
        if self._progress is not None:
            return passed > SECONDS_BETWEEN_LOSSES
        tenth = max(1, self._total_batches // 10)
        return passed > SECONDS_BETWEEN_LINES or (self._is_single(trainer) and self._batches % tenth == 0)

    def _show(self, trainer: L.Trainer, loss: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, loss=loss)
            return
        per_step = trainer.accumulate_grad_batches
        where = f"step {math.ceil(self._batches / per_step)} of {math.ceil(self._total_batches / per_step)}"
        self._say(f"{self.name}: {where}{', ' if loss else ''}{loss}")

    def _is_single(self, trainer: L.Trainer) -> bool:
        """Whether the fit is one long training, and not many episodes."""
        return trainer.datamodule.active_plan.kind in ("mixture", *NAMED)  # type: ignore[attr-defined]

    def _loss(self, trainer: L.Trainer, outputs: Any) -> str:
        """What the last batch minimised, in nats per token: the loss, or another objective."""
        value = outputs.get("objective", outputs.get("loss")) if isinstance(outputs, dict) else outputs
        if value is None:
            return ""
        ascends = trainer.datamodule.active_plan.kind in UNLEARNING  # type: ignore[attr-defined]
        return f"{'objective' if ascends else 'loss'} {float(value):.3f}"

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
        number = f"{finished + trainer.current_epoch + 1}"
        if (trainer.max_epochs or 0) > 0:  # otherwise it has no last one
            number += f" of {finished + (trainer.max_epochs or 0)}"
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
        if (trainer.max_epochs or 0) < 0:
            return max(0, trainer.max_steps * trainer.accumulate_grad_batches)
        total = sum(self._lengths(trainer))
        return min(total, trainer.max_steps * trainer.accumulate_grad_batches) if trainer.max_steps > 0 else total
