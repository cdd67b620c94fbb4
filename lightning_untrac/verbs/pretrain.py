"""``untrac pretrain``: train a model on the mixture of the corpora."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lightning_untrac.callbacks import EpisodeProgress, SavePretrained, WeightsMustMove
from lightning_untrac.callbacks.keep_models import KeepModels, kept_models
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.modules import Pretraining
from lightning_untrac.naming import counted
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checkpoints import (
    CHECKPOINT_COPIES,
    ResumeCheckpoints,
    after_success,
    last_checkpoint,
    step_of,
)
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import DamagedFileError, DamageWarning, RunFolder
from lightning_untrac.runs.saved_models import damage_of
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.training_took import TOOK, training_took
from lightning_untrac.verb import Arguments, Traits

STAGE: Final = "pretrain"


@dataclass
class PretrainOptions:
    """Train a model on the mixture of the corpora, and keep its first weights for leave-out retraining.

    Attributes:
        output: folder for the model (``model/``, ``initial_model/``), the logs and the checkpoints.
        seed: seed of the data order and of dropout.
        steps: optimizer steps; by default ``--trainer.max_epochs`` passes over the mixture (1).
        checkpoint_every: save a Lightning checkpoint to resume from every so many optimizer steps; by default after
            each pass. The newest two are kept.
        keep_checkpoints: whether the newest two stay when the model is saved. They are about six times as large as the
            model; ``adam_graddot`` and ``FrozenAdam`` read them, and a damaged ``model/`` is saved anew from them.
        keep_models_at: also keep the model after these optimizer steps, as ``models/step-<n>/``, for
            ``trace --method tracin``; each is a copy of the weights.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    seed: int = 0
    steps: int | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: bool = True
    keep_models_at: list[int] = field(default_factory=list)
    wandb: WandbConfig | None = None
    overwrite: bool = False


def _models(folder: Path, stage: str) -> list[Path]:
    kept = folder / "models"
    return [folder / "model", folder / "initial_model", *sorted(kept.glob("step-*/")), kept]


TRAITS = Traits(PretrainOptions, Pretraining, trains=True, models=_models)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse(STAGE, PretrainOptions, argv, Pretraining)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: PretrainOptions = parsed.options
    problems = []
    if options.steps is not None and parsed.config.trainer.get("max_epochs") is not None:
        problems.append("steps and trainer.max_epochs: give one of the two")
    if options.checkpoint_every is not None and options.checkpoint_every < 1:
        problems.append(f"checkpoint_every: {options.checkpoint_every}; give at least 1 step")
    last = options.steps if options.steps is not None else math.inf
    if outside := [step for step in options.keep_models_at if not 0 <= step <= last]:
        until = "" if options.steps is None else f" to {options.steps}"
        problems.append(f"keep_models_at: {outside} are no steps of this training; give steps from 0{until}")
    return Intent(STAGE, EpisodePlan("mixture", (options.seed,), steps=options.steps), problems, STAGE)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: PretrainOptions = parsed.options
    asked = intent(parsed)
    stage = Stage(parsed, asked)
    damaged = _damage(stage.folder, options) if stage.is_done else []
    if damaged:
        stage.folder.forget_done(STAGE)
        warnings.warn(
            f"{'; '.join(damaged)}: training goes on from the last sound checkpoint", DamageWarning, stacklevel=2
        )
    if stage.is_done:
        say(f"pretrain: finished already; the model is in {stage.folder.path / 'model'}")
        return
    stage.check(asked.plan, asked.problems, copies=CHECKPOINT_COPIES + len(options.keep_models_at))
    stage.data.plan = asked.plan
    stage.start()
    trainer = None
    with stage.folder.costs(STAGE):
        trainer = _fit(stage, options)
    data, optimizer_steps = stage.data, trainer.global_step
    replicas = trainer.num_devices * trainer.num_nodes
    sampler = data.sampler(data.episodes()[0], trainer.accumulate_grad_batches, 0, replicas)
    # Batches do not cross passes, so that a pass has a whole number of steps, the last of them perhaps a short one.
    passes = optimizer_steps / sampler.steps_per_pass
    stage.folder.write_json(TOOK, {"steps": optimizer_steps, "passes": passes})
    if passed_by := sorted(
        set(options.keep_models_at) - {kept.step for kept in kept_models(stage.folder.path / "models")}
    ):
        notes = [
            f"pretrain: training ended after {counted(optimizer_steps, 'step')}, so no model was kept at {passed_by}"
        ]
        stage.folder.add_notes("warning", notes)
    stage.mark_done()
    trainer.strategy.barrier("pretrain")  # the next stage of a recipe reads what rank 0 has written
    finish_loggers(trainer)
    if stage.fast_dev_run:
        say("pretrain: fast_dev_run tried each part once and stored nothing")
    elif trainer.is_global_zero:
        took = f"{counted(optimizer_steps, 'step')} ({passes:.1f} passes)"
        say(f"pretrain: {took}; the model is in {stage.folder.path / 'model'}")
        if line := after_success(stage.folder.path / "checkpoints" / STAGE, options.keep_checkpoints):
            say(f"pretrain: {line}")


def _damage(folder: RunFolder, options: PretrainOptions) -> list[str]:
    """What is wrong with the results of a finished training."""
    found = [damage for name in ("model", "initial_model") for damage in damage_of(folder.path / name)]
    try:
        took = training_took(folder)
    except DamagedFileError as error:
        return [*found, *error.problems]
    if took is None:
        return [*found, f"{folder.path / TOOK} is missing"]
    return found + _damage_of_kept(folder.path, options, took["steps"])


def _damage_of_kept(folder: Path, options: PretrainOptions, until: int) -> list[str]:
    """What is wrong with the models on the way, of the steps that training has passed."""
    steps = sorted(step for step in set(options.keep_models_at) if step <= until)
    return [damage for step in steps for damage in damage_of(folder / "models" / f"step-{step}")]


def _fit(stage: Stage, options: PretrainOptions):  # type: ignore[no-untyped-def]  # noqa: ANN202
    folder = stage.folder.path
    checkpoints = folder / "checkpoints" / STAGE
    trainer = stage.build_trainer(
        callbacks=[
            EpisodeProgress(STAGE),
            WeightsMustMove(),
            SavePretrained(folder / "model", folder / "initial_model"),
            KeepModels(folder / "models", options.keep_models_at),
            ResumeCheckpoints(checkpoints, options.checkpoint_every),
        ],
        logger=stage.build_loggers(STAGE),
        **({"max_epochs": 1} if stage.config["trainer"].get("max_epochs") is None else {}),
        **({} if stage.data.test_set_names else {"limit_val_batches": 0}),
    )
    # Without its first weights a run has no start for leave-out retraining; only the first step saves them.
    last = None if damage_of(folder / "initial_model") else last_checkpoint(checkpoints, trainer, stage.data)
    if last is not None and _damage_of_kept(folder, options, step_of(Path(last))):
        last = None  # a model on the way is saved when training comes by
    try:
        run_trainer(
            lambda: trainer.fit(
                stage.build_module(), datamodule=stage.data, ckpt_path=last, weights_only=True if last else None
            )
        )
    except (RuntimeError, KeyError) as error:
        if last is not None and "state_dict" in str(error):
            raise ConfigurationError(
                [f"checkpoint: {last} doesn't fit this model ({str(error).splitlines()[0]}); name another --output"]
            ) from error
        raise
    return trainer
