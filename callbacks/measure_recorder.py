"""Record every measure of every example, in one pass of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning_untrac.callbacks.example_arrays import ExampleArrays
from lightning_untrac.callbacks.influence_logger import EPISODE_STEP, InfluenceLogger
from lightning_untrac.callbacks.reading_rows import Reading, example_tables, summary_rows
from typing_extensions import override

from lightning_untrac.data.evaluated import groups, packed, sides
from lightning_untrac.errors import UnlearningError, raise_if_any
from lightning_untrac.functional.example_means import exact_mean
from lightning_untrac.metrics import Measure
from lightning_untrac.metrics.measure import Named, check_shape, each_once
from lightning_untrac.metrics.needs import DATA_ROLES, given_by, need_problems
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.modules.guessing import guess_loss
from lightning_untrac.tables.measurements import (
    MEASUREMENTS,
    SUMMARY,
    replace_rows,
    summary_schema,
)

EVALUATE = "evaluate"
"""``method`` of a model that is measured as it is."""


class MeasureRecorder(Callback):
    """Write what was measured: each example before and after, and means with intervals at every reading.

    A validation writes the model as it is (method ``evaluate``, unless it is told how the model was made). A fit is
    read before its first step, in Lightning's sanity check, which this callback asks to be a full one; then at every
    reading. Its last reading is kept example by example, and of the forget set every one (unless that has more than
    2,000 examples). Tables are written at each reading, so that a killed run leaves what it has measured. The same run
    again puts its rows in the place of the earlier ones, and a run that goes on from a checkpoint ends with the same
    tables.

    The model runs once for all measures. Each example is measured by one rank, and rank 0 writes.

    Args:
        folder: where ``measurements.parquet`` and ``summary.parquet`` are; None keeps the rows in memory only.
        measures: names or class paths, or measures.
        method: name in the tables of how a fit makes its model; by default the class of the module. Of a validation:
            how the model was made.
        episode: of a validation, the forget set and the seed with which its model was made.
        step: of a validation, the optimizer steps that its model is away from the one before unlearning.
        model: name of the model that is measured, or that a fit starts from; by default the module's.
        result: name of the model that a fit makes; by default as ``model``.

    Attributes:
        summary: rows of ``summary.parquet`` as plain values, of the last validation, or of the fit's running episode.

    Raises:
        ConfigurationError: if a measure is unknown or given twice; before step 0, if it needs what the module does not
            give.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        measures: str | Iterable[Named | Measure] = "loss",
        *,
        method: str | None = None,
        model: str | None = None,
        result: str | None = None,
        episode: tuple[str | None, int | None] = (None, None),
        step: int | None = None,
    ) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.measures = each_once(measures)
        self.method, self.model, self.result = method, model, result
        self.summary: list[dict[str, Any]] = []
        self._names = [measure.name for measure in self.measures]
        self._measured = ExampleArrays.of_measures(self._names)
        self._before: Reading | None = None
        self._along: list[Reading] = []
        self._losses_before: dict[str, float] = {}
        self._validated = self._episode = episode
        self._step = step

    # -- reading ---------------------------------------------------------------------------------------------------

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        gives = getattr(pl_module, "gives", None)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        roles = {role: getattr(data, role, None) for role in DATA_ROLES}
        given = {*(gives(stage) if callable(gives) else ())} | given_by(roles)
        if getattr(pl_module, "reference_path", None) is not None:
            given |= {"reference_log_probs"}
        raise_if_any(need_problems(self.measures, given))
        pl_module.measures = tuple(self.measures)  # type: ignore[assignment]
        if stage == "fit":
            trainer.num_sanity_val_steps = math.inf

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured = ExampleArrays.of_measures(self._names, trainer.datamodule)  # type: ignore[attr-defined]

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        measured = outputs.get("measured") if isinstance(outputs, Mapping) else None
        if measured is None:
            raise UnlearningError(
                f"{type(pl_module).__name__}.validation_step returns no `measured`; return what the one of "
                "LanguageModule does, or leave out MeasureRecorder"
            )
        for name, said in measured.items():
            check_shape(name, said, batch["example_index"].numel())
        self._measured.add_measured(trainer.datamodule.evaluation_names, measured, batch)  # type: ignore[attr-defined]

    def mean(self, trainer: L.Trainer, measure: str, dataset: str) -> float:
        """The weighted mean of a measure over a dataset, of the newest validation; call it on every rank."""
        self._measured.settle(trainer, self.measures)
        values, weights = (self._measured.arrays[f"{measure}/{part}"][dataset] for part in ("value", "weight"))
        return exact_mean(values, weights)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured.settle(trainer, self.measures)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        found = pl_module.dataset_losses.losses()  # type: ignore[union-attr, operator]
        measured = zip(data.evaluation_names, found.token_loss.tolist(), found.num_tokens.tolist(), strict=True)
        losses = {name: loss for name, loss, num_tokens in measured if num_tokens}
        model = self._model(pl_module)
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            fits = trainer.sanity_checking
            self._before = self._reading(pl_module, model, 0 if fits else self._step, losses)
            self._losses_before = losses
            self._episode, self.summary = (None, None) if fits else self._validated, []
            if not fits:
                self._take(trainer, self._before, self.method or EVALUATE, examples=[self._before], alone=True)
            return
        self._begin(trainer, pl_module)
        step = InfluenceLogger.optimizer_step(trainer)
        reading = self._reading(pl_module, self.result or model, step, losses)
        final = bool(trainer.is_last_batch) or getattr(pl_module, "episode_ended", False)
        every = [one for one in (self._before, *self._along, reading) if one is not None]
        self._along.append(reading.of(self._episode[0]))
        self._take(trainer, reading, self._method(pl_module), examples=every if final else None)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, pl_module)

    def _begin(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the model before the first step of an episode, once; a fit that goes on inside one has done so."""
        episode = trainer.datamodule.current_episode  # type: ignore[attr-defined]
        if (episode.dataset, episode.seed) == self._episode:
            return
        self._episode, self.summary, self._along = (episode.dataset, episode.seed), [], []
        if self._before is not None:
            self._take(trainer, self._before, self._method(module), examples=[self._before])

    def _model(self, module: L.LightningModule) -> str:
        return self.model or str(getattr(module, "name_or_path", None) or type(module).__name__)

    def _method(self, module: L.LightningModule) -> str:
        return self.method or type(module).__name__

    def _reading(self, module: Any, model: str, step: int | None, losses: Mapping[str, float]) -> Reading:
        of_episode = getattr(module, "episode_status", "ok") if step else "ok"
        uniform = guess_loss(module)
        guess = math.inf if uniform is None else uniform

        def status(name: str) -> str:
            if of_episode != "ok" or name not in losses:  # one without target tokens has no loss
                return str(of_episode)
            if not math.isfinite(loss := losses[name]):
                return "nonfinite"
            return "broken" if step and self._losses_before.get(name, math.nan) <= guess < loss else "ok"

        names = [*next(iter(self._measured.arrays.values()), {})]
        return Reading(model, step, self._measured.arrays, {name: status(name) for name in names})

    def add(
        self, trainer: L.Trainer, step: int, measure: str, dataset: str, statistics: Mapping[str, tuple[float, str]]
    ) -> None:
        """Put further statistics of the weights of now, between two readings, into the summary.

        They are written with the next reading.

        Args:
            trainer: that fits; its first rank writes.
            step: optimizer steps of the episode before them.
            measure: what they are of.
            dataset: whose.
            statistics: name to value and unit.
        """
        if not trainer.is_global_zero:
            return
        forget_set, seed = self._episode
        module: Any = trainer.lightning_module
        state = {
            "model": (self.result if step else None) or self._model(module),
            "method": self._method(module),
            "forget_set": forget_set,
            "seed": seed,
            "step": step,
            "measure": measure,
            "dataset": dataset,
        }
        for name, (value, unit) in statistics.items():
            statistic = Statistic(name, value, None, None, unit)
            self.summary.append({**state, **statistic._asdict(), "status": "ok"})

    # -- rows ------------------------------------------------------------------------------------------------------

    def _take(
        self, trainer: L.Trainer, reading: Reading, method: str, examples: list[Reading] | None, alone: bool = False
    ) -> None:
        """Add a reading to the summary, log it, and write the tables.

        Args:
            trainer: whose first rank writes.
            reading: what was measured.
            method: name in the tables.
            examples: the readings that are written example by example now; None where those on disk stay.
            alone: whether it is a model's by itself, and not one of a fit.
        """
        if not trainer.is_global_zero:
            return
        forget_set, seed = self._episode
        made = {"method": method, "forget_set": forget_set, "seed": seed}
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        of = groups(data)
        rows = summary_rows(self.measures, reading, made, packed(data), of, sides(data))
        self.summary += rows
        self._log(trainer, reading.step, rows)
        if self.folder is None or getattr(trainer, "fast_dev_run", False):
            return
        import pyarrow as pa

        mine: dict[str, Any] = made
        # Step 0 begins a run anew, whatever its folder was called. Evaluations are of some measures and datasets each.
        if alone and reading.step != 0:
            cells = {key: list(dict.fromkeys(row[key] for row in rows)) for key in ("measure", "dataset")}
            mine = {**made, "model": reading.model, **cells}
        replace_rows(self.folder, SUMMARY, mine, pa.Table.from_pylist(self.summary, schema=summary_schema()))
        if examples is not None:
            tables = [table for one in examples for table in example_tables(self.measures, one, made, of)]
            replace_rows(self.folder, MEASUREMENTS, mine, pa.concat_tables(tables))

    @staticmethod
    def _log(trainer: L.Trainer, step: int | None, rows: list[dict[str, Any]]) -> None:
        means = {f"{row['measure']}/{row['dataset']}": row["value"] for row in rows if row["statistic"] == "mean"}
        for logger in trainer.loggers:
            if step is None:
                logger.log_metrics(means, step=trainer.global_step)
            else:
                logger.log_metrics({EPISODE_STEP: step, **means}, step=trainer.global_step)

    # -- going on from a checkpoint --------------------------------------------------------------------------------

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "summary": self.summary,
            "before": None if self._before is None else self._before.state(),
            "along": [one.state() for one in self._along],
            "losses_before": self._losses_before,
            "episode": list(self._episode),
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.summary, self._losses_before = list(state_dict["summary"]), dict(state_dict["losses_before"])
        dataset, seed = state_dict["episode"]
        self._episode = (dataset, seed)
        self._along = [Reading.from_state(one) for one in state_dict.get("along", ())]
        if (before := state_dict["before"]) is not None:
            self._before = Reading.from_state(before)
