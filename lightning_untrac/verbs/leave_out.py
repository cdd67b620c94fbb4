"""``untrac leave-out``: retrain without each corpus: the ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from lightning_untrac.attribution import EpisodeRun, LeaveOut
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.fanout.episode_work import carry_out
from lightning_untrac.fanout.ray_options import RayConfig, on_one_device, ray_problems
from lightning_untrac.fanout.shards import shard_problems
from lightning_untrac.fanout.work import EpisodeWork
from lightning_untrac.functional import Readout
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules import LanguageModule, Pretraining
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import episode_problems
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import files_digest, saved_model, use_saved_model
from lightning_untrac.runs.stage import Stage, run_trainer
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.verb import Arguments, Traits

STAGE: Final = "leave-out"


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
        keep_going: go on with the other episodes where one fails (out of memory, a worker that died), on one device.
        shard: run one of several equal parts of the retrainings, e.g. ``2/4``, for job arrays; ``untrac merge`` joins
            them.
        ray: run each retraining as a task on Ray: ``--ray`` on this machine, ``--ray.address`` on a cluster.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    trained_model: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    budget: Literal["same_steps", "same_passes"] = "same_steps"
    steps: int | None = None
    passes: float | None = None
    readings: int | list[int] = 1
    readout: Readout = "difference"
    keep_going: bool = False
    shard: str | None = None
    ray: RayConfig | None = None
    wandb: WandbConfig | None = None
    overwrite: bool = False


TRAITS = Traits(LeaveOutOptions, Pretraining, starts_from="initial_model", fills=True, method=LeaveOut.method)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return on_one_device(parse(STAGE, LeaveOutOptions, argv, Pretraining))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: LeaveOutOptions = parsed.options
    plan = LeaveOut.plan(options.seeds, options.steps, options.passes)
    problems = episode_problems(options) + shard_problems(options.shard) + ray_problems(parsed)
    counted, other = ("steps", "passes") if options.budget == "same_steps" else ("passes", "steps")
    if getattr(options, other) is not None:
        problems.append(f"{other}: not what budget {options.budget} counts; give {counted}, or another budget")
    return Intent(STAGE, plan, problems, STAGE)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    carry_out(work(parsed))


def work(parsed: Parsed) -> EpisodeWork:
    """The verb's retrainings, and what runs them."""
    options: LeaveOutOptions = parsed.options
    asked = intent(parsed)
    start = use_saved_model(parsed.config, options.output, "initial_model")
    stage = Stage(parsed, asked)
    trained = options.trained_model or saved_model(Path(options.output), "model")
    steps, passes, problems = _budget(options, RunFolder(options.output))
    if trained is None:
        problems.append("trained_model: none given, and the output folder has no model/; whose losses are 'before'?")
    if start is not None:
        stage.identity["model_files"] = files_digest(start)
    if trained is not None and Path(trained).is_dir():
        stage.identity["trained_model_files"] = files_digest(Path(trained))
    stage.identity |= {"steps": steps, "passes": passes}  # those of another training are other retrainings
    plan = replace(asked.plan, steps=steps, passes=passes)
    run = EpisodeRun(
        LeaveOut(),
        stage.folder.path,
        stage.build_module,
        stage.build_trainer,
        stage.build_loggers,
        stage.data,
        seeds=options.seeds,
        steps=steps,
        passes=passes,
        readings=options.readings,
        readout=options.readout,
        keep_going=options.keep_going,
    )
    return EpisodeWork(
        STAGE,
        stage,
        plan,
        run,
        [*asked.problems, *problems],
        baseline=lambda: _trained_losses(stage, plan, str(trained)),
    )


def _budget(options: LeaveOutOptions, folder: RunFolder) -> tuple[int | None, float | None, list[str]]:
    """Steps or passes of a retraining, and what is wrong with them."""
    trained = training_took(folder) or {"steps": None, "passes": None}
    if options.budget == "same_steps":
        steps = options.steps if options.steps is not None else trained["steps"]
        missing = ["steps: not given, and the output folder has no pretrain.json that says what training took"]
        return steps, None, [] if steps is not None else missing
    passes = options.passes if options.passes is not None else trained["passes"]
    missing = ["passes: not given, and the output folder has no pretrain.json that says what training took"]
    return None, passes, [] if passes is not None else missing


def _trained_losses(stage: Stage, plan: EpisodePlan, trained_model: str) -> DatasetLosses:
    """Losses on every test set of the model that was trained on all corpora."""
    module: LanguageModule = stage.parsed.build_module()
    module.name_or_path, module.config = trained_model, None
    stage.data.plan = plan
    trainer = stage.build_trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    run_trainer(lambda: trainer.validate(module, datamodule=stage.data, verbose=False))
    assert module.dataset_losses is not None
    return module.dataset_losses.losses().cpu()
