"""``untrac leave-out``: retrain without each corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning.pytorch as L

from lightning_untrac.attribution import EpisodeRun, LeaveOut
from lightning_untrac.data import EpisodePlan
from lightning_untrac.functional import Readout
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules import LanguageModule, Pretraining
from lightning_untrac.verbs.output import log_influences, show_influences
from lightning_untrac.verbs.parsing import parse
from lightning_untrac.verbs.phase import Phase, finish_loggers, run_trainer, saved_model
from lightning_untrac.verbs.run_folder import RunFolder, files_digest
from lightning_untrac.verbs.trace import use_saved_model

STEP = "leave-out"


@dataclass
class LeaveOutOptions:
    """Retrain without each corpus from the weights before training: the ground truth that methods are held against.

    Attributes:
        output: folder for the tables; its ``initial_model/`` is where retraining starts unless ``model.name_or_path``
            (or ``model.config``, for random weights) is given.
        trained_model: the model that was trained on all corpora, whose losses are "before"; by default ``model/`` of
            the output folder.
        seeds: seeds of the data order; every corpus is left out once a seed.
        budget: ``same_steps`` retrains for as many optimizer steps as training took (the paper's), ``same_passes`` for
            as many passes over what is left.
        steps: optimizer steps of a retraining; by default what ``pretrain`` took here.
        passes: passes of a retraining, for ``same_passes``; by default what ``pretrain`` took here.
        readings: how many readings a retraining has, evenly spread, or a list of optimizer steps.
        readout: how an influence is read from the losses before and after.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this step left in the folder under other settings.
    """

    output: str
    trained_model: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    budget: Literal["same_steps", "same_passes"] = "same_steps"
    steps: int | None = None
    passes: float | None = None
    readings: int | list[int] = 1
    readout: Readout = "difference"
    wandb: WandbConfig | None = None
    overwrite: bool = False


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parsed = parse(STEP, LeaveOutOptions, argv, Pretraining)
    options: LeaveOutOptions = parsed.options
    start = use_saved_model(parsed.config, options.output, "initial_model")
    phase = Phase(parsed, STEP)
    trained = options.trained_model or saved_model(phase.folder.path, "model")
    steps, passes, problems = _budget(options, phase.folder)
    if trained is None:
        problems.append("trained_model: none given, and the output folder has no model/; whose losses are 'before'?")
    if start is not None:
        phase.identity["model_files"] = files_digest(start)
    if phase.is_done:
        print("leave-out: finished already")
        show_influences(phase.folder, LeaveOut.method)
        return
    run = EpisodeRun(
        LeaveOut(),
        phase.folder.path,
        phase.build_module,
        phase.build_trainer,
        phase.build_loggers,
        phase.data,
        seeds=options.seeds,
        steps=steps,
        passes=passes,
        readings=options.readings,
        readout=options.readout,
    )
    plan = run.plan(0)
    plan.seeds = options.seeds
    phase.check(plan, problems)
    phase.start()
    with phase.folder.costs(STEP):
        run.baseline = _trained_losses(phase, plan, str(trained))
        run_trainer(lambda: run.run(after_fit=lambda trainer: _after_fit(trainer, phase)))
    if phase.config["trainer"].get("fast_dev_run"):
        print("leave-out: fast_dev_run took one step and stored nothing")
        return
    phase.mark_done()
    show_influences(phase.folder, LeaveOut.method, phase.data.corpus_names, phase.data.test_set_names)


def _budget(options: LeaveOutOptions, folder: RunFolder) -> tuple[int | None, float | None, list[str]]:
    """Steps or passes of a retraining, and what is wrong with them."""
    trained: dict[str, Any] = folder.read_json("pretrain.json", {})
    if options.budget == "same_steps":
        steps = options.steps if options.steps is not None else trained.get("steps")
        missing = ["steps: not given, and the output folder has no pretrain.json that says what training took"]
        return steps, None, [] if steps is not None else missing
    passes = options.passes if options.passes is not None else trained.get("passes")
    missing = ["passes: not given, and the output folder has no pretrain.json that says what training took"]
    return None, passes, [] if passes is not None else missing


def _trained_losses(phase: Phase, plan: EpisodePlan, trained_model: str) -> DatasetLosses:
    """Losses on every test set of the model that was trained on all corpora."""
    module: LanguageModule = phase.parsed.build()[0]
    module.name_or_path, module.config = trained_model, None
    phase.data.plan = plan
    trainer = phase.build_trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    run_trainer(lambda: trainer.validate(module, datamodule=phase.data, verbose=False))
    assert module.dataset_losses is not None
    return DatasetLosses(*(values.cpu() for values in module.dataset_losses.compute()))


def _after_fit(trainer: L.Trainer, phase: Phase) -> None:
    if not trainer.fast_dev_run and trainer.is_global_zero:
        log_influences(trainer, phase.folder, LeaveOut.method, phase.data.corpus_names, phase.data.test_set_names)
    finish_loggers(trainer)
