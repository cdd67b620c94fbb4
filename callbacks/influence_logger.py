"""Turn the losses of every reading into influence rows: for the loggers and for the store."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning_untrac.callbacks.read_at_strength import ReadAtStrength
from typing_extensions import override

from lightning_untrac.data.episodes import Episode
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import READOUTS, Readout, read_out
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules.guessing import guess_loss
from lightning_untrac.tables import InfluenceRow, InfluenceStore, ResultsError

EPISODE_STEP = "episode_step"
"""The x axis of the curves: optimizer steps since the pre-unlearning weights."""


class InfluenceLogger(Callback):
    """Measure every evaluated dataset at the pre-unlearning weights and at every reading; log and store the influences.

    The losses before are read in the same fit on the same frozen examples, in Lightning's sanity check, which this
    callback asks to be a full one (``Trainer.num_sanity_val_steps``). A finished episode is a file in ``episodes/``;
    ``influence.parquet`` is made from these files at the end of the fit. The rows of an episode that still runs are in
    the logs, in the Lightning checkpoint, and in ``episodes/unfinished/``, which only a resumed fit reads.

    Loggers get ``influence/<test set>/<corpus>`` and ``loss/<test set>/<corpus>`` against ``episode_step``; where one
    fit has several seeds, ``/seed-<n>`` is added.

    Args:
        folder: where ``influence.parquet`` and ``episodes/`` are; None keeps the rows in memory only (:attr:`rows`).
        method: name in the tables.
        readout: how an influence is read from two losses; all of them can be had from the stored losses later.
        baseline: losses at the trained weights, for retraining, where the fit starts from other weights; read by the
            sanity check where None.
        read_at: reads between two readings, where the fit has such a callback before this one.
        ascends: whether the episodes unlearn, so that a loss above that of a uniform guess is a broken model. Training
            without a corpus may end there too; then the corpus was all that taught the test set, and that is a finding.

    Attributes:
        rows: every row of this fit.
        baseline: losses before, once they are read.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        method: str = "untrac",
        readout: Readout = "difference",
        baseline: DatasetLosses | None = None,
        read_at: ReadAtStrength | None = None,
        ascends: bool = True,
    ) -> None:
        self.store = InfluenceStore(folder) if folder is not None else None
        self.method, self.readout = method, readout
        self.baseline, self.read_at, self.ascends = baseline, read_at, ascends
        self._measures_baseline = baseline is None
        self.rows: list[InfluenceRow] = []
        self._episode_start = time.perf_counter()

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and self._measures_baseline:
            trainer.num_sanity_val_steps = math.inf

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.baseline is None:
            raise UnlearningError(
                "the losses at the pre-unlearning weights were not read: influence needs validation data "
                "(Trainer(limit_val_batches) must not be 0)"
            )
        for logger in trainer.loggers:
            experiment: Any = getattr(logger, "experiment", None)
            if hasattr(experiment, "define_metric"):  # W&B: curves of all episodes side by side, not one after another
                for pattern in ("influence/*", "loss/*"):
                    experiment.define_metric(pattern, step_metric=EPISODE_STEP)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._episode_start = time.perf_counter()
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self._writes(trainer):  # nothing of an earlier attempt that was killed
            episode = data.current_episode
            self.store.begin_episode(self.method, episode.dataset, episode.seed)  # type: ignore[union-attr]
        if self.baseline is None:
            return
        # Every curve begins at the losses before.
        before = {n: (0.0, float(self.baseline.token_loss[i])) for i, n in enumerate(data.evaluation_names)}
        self._log(trainer, 0, before)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        losses: DatasetLosses = pl_module.dataset_losses.losses().cpu()  # type: ignore[union-attr, operator]
        if trainer.sanity_checking:
            if self._measures_baseline:
                self.baseline = losses
        elif trainer.state.fn == TrainerFn.FITTING:
            if self.read_at is not None and self.baseline is not None:
                losses = self.read_at.interpolate(self.baseline, losses)
            self._read(trainer, pl_module, losses)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode = data.current_episode
        key = data.active_plan.episode_key
        finished = {(getattr(row, key), row.seed) for row in self.rows if row.final}
        if self.store is not None and trainer.is_global_zero:
            finished |= self.store.finished_episodes(self.method, key)
        # Only possible where a fit is resumed from a checkpoint saved after the last step but before its reading.
        missing = trainer.is_global_zero and (episode.dataset, episode.seed) not in finished
        # The first rank alone reads the table; all ranks end together.
        if trainer.strategy.reduce_boolean_decision(missing, all=False):
            raise UnlearningError(
                f"the episode of {episode.dataset!r} (seed {episode.seed}) ended without a final reading; resume from "
                "a checkpoint of an earlier step or of the episode before"
            )

    def _store(self, trainer: L.Trainer, newest: Sequence[InfluenceRow]) -> None:
        """Write the file of an episode, which says that it is finished after its last reading."""
        if not newest or not self._writes(trainer):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode, key = (data.current_episode.dataset, data.current_episode.seed), data.active_plan.episode_key
        rows = [row for row in self.rows if (getattr(row, key), row.seed) == episode]
        assert self.store is not None
        self.store.write_episode(self.method, *episode, rows, finished=newest[0].final)

    def _writes(self, trainer: L.Trainer) -> bool:
        return self.store is not None and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._writes(trainer):
            self.store.compact()  # type: ignore[union-attr]

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        with contextlib.suppress(OSError, ResultsError):  # the exception says more
            self.on_fit_end(trainer, pl_module)

    def needs_control(self, test_sets: Sequence[str]) -> bool:
        """Whether the influences need an episode with all corpora that is still to be run."""
        return False

    def losses_before(self, episode: Episode, step: int) -> DatasetLosses | None:
        """What a reading is held against; None before there is anything."""
        return self.baseline

    def notes(self) -> list[str]:
        """What a reader of the influences should know about the fit, a sentence each."""
        return [] if self.read_at is None else self.read_at.notes()

    @staticmethod
    def optimizer_step(trainer: L.Trainer) -> int:
        """Optimizer steps of the running episode so far."""
        batches_done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return math.ceil(batches_done / trainer.accumulate_grad_batches)

    def _read(self, trainer: L.Trainer, module: Any, after: DatasetLosses) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode, plan = data.current_episode, data.active_plan
        step = self.optimizer_step(trainer)
        losses_before = self.losses_before(episode, step)
        if losses_before is None:
            return
        status: Any = getattr(module, "episode_status", "ok")
        final = bool(trainer.is_last_batch) or getattr(module, "episode_ended", False)
        guess = guess_loss(module)
        rows = []
        names = data.evaluation_names
        for index, name in enumerate(names):
            inverse = plan.episode_key == "test_set"
            before, now = _losses(losses_before, index), _losses(after, index)
            pair = (before[1], now[1]) if self.readout == "example" else (before[0], now[0])
            rows.append(
                InfluenceRow(
                    method=self.method,
                    corpus=name if inverse else episode.dataset,
                    test_set=episode.dataset if inverse else name,
                    seed=episode.seed,
                    step=step,
                    final=final,
                    influence=read_out(*pair, self.readout),
                    unit=READOUTS[self.readout],
                    loss_before=before[0],
                    loss_after=now[0],
                    example_loss_before=before[1],
                    example_loss_after=now[1],
                    num_tokens=int(after.num_tokens[index]),
                    num_examples=int(after.num_examples[index]),
                    seconds=time.perf_counter() - self._episode_start,
                    status=self._status(status, before[0], now[0], guess),
                    guess_loss=guess,
                    **(_parts(losses_before, after, index, self.readout) if final else {}),
                )
            )
        self.rows += rows
        self._store(trainer, rows)
        values = {
            n: (r.influence, float(after.token_loss[i])) for i, (n, r) in enumerate(zip(names, rows, strict=True))
        }
        self._log(trainer, step, values)

    def _status(self, of_episode: Any, before: float, after: float, guess: float | None) -> Any:
        """Status of a row: that of its episode, or what its own losses say."""
        if of_episode != "ok":
            return of_episode
        if not math.isfinite(after):
            return "nonfinite"
        return "broken" if self.ascends and guess is not None and before <= guess < after else "ok"

    def _log(self, trainer: L.Trainer, step: int, readings: dict[str, tuple[float, float]]) -> None:
        """Send the influence and the loss of each evaluated dataset to the loggers."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode, plan = data.current_episode, data.active_plan
        seed = f"/seed-{episode.seed}" if len(plan.seeds) > 1 else ""
        metrics: dict[str, float] = {EPISODE_STEP: step}
        for name, (influence, loss) in readings.items():
            pair = (episode.dataset, name) if plan.episode_key == "test_set" else (name, episode.dataset)
            metrics[f"influence/{'/'.join(pair)}{seed}"] = influence
            metrics[f"loss/{'/'.join(pair)}{seed}"] = loss
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)

    @override
    def state_dict(self) -> dict[str, Any]:
        baseline = None if self.baseline is None else self.baseline.as_lists()
        return {"rows": [row.as_dict() for row in self.rows], "baseline": baseline}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = [InfluenceRow(**row) for row in state_dict["rows"]]
        if state_dict["baseline"] is not None:
            self.baseline = DatasetLosses.of_lists(state_dict["baseline"])


def _losses(losses: DatasetLosses, index: int) -> tuple[float, float]:
    return float(losses.token_loss[index]), float(losses.example_loss[index])


def _parts(before: DatasetLosses, after: DatasetLosses, index: int, readout: Readout) -> dict[str, list[float]]:
    """What an interval is drawn from: sums of the losses behind an influence, and their weights, by random parts."""
    if before.parts is None or after.parts is None:
        return {}
    sums, weights = (1, 3) if readout == "example" else (0, 2)
    return {
        "part_losses_before": before.parts[index, sums].tolist(),
        "part_losses_after": after.parts[index, sums].tolist(),
        "part_weights": after.parts[index, weights].tolist(),
    }
