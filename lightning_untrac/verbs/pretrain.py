"""``untrac pretrain``: train a model on the mixture of the corpora."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_untrac.callbacks import EpisodeProgress, SavePretrained, WeightsMustMove
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.modules import Pretraining
from lightning_untrac.verbs.parsing import Parsed, parse
from lightning_untrac.verbs.phase import Intent, Phase, finish_loggers, run_trainer

STEP = "pretrain"

CHECKPOINT_COPIES = 8
"""Copies of the weights on disk at most: two model folders, and two checkpoints (an old one beside a new one) with
weights and two moments each."""


@dataclass
class PretrainOptions:
    """Train a model on the mixture of the corpora, and keep its first weights for leave-out retraining.

    Attributes:
        output: folder for the model (``model/``, ``initial_model/``), the logs and the checkpoints.
        seed: seed of the data order and of dropout.
        steps: optimizer steps; by default ``--trainer.max_epochs`` passes over the mixture (1).
        checkpoint_every: save a Lightning checkpoint to resume from every so many optimizer steps; by default after
            each pass.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this step left in the folder under other settings.
    """

    output: str
    seed: int = 0
    steps: int | None = None
    checkpoint_every: int | None = None
    wandb: WandbConfig | None = None
    overwrite: bool = False


def arguments(argv: Sequence[str]) -> Parsed:
    """Read the verb's arguments."""
    return parse(STEP, PretrainOptions, argv, Pretraining)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: PretrainOptions = parsed.options
    problems = []
    if options.steps is not None and parsed.config.trainer.get("max_epochs") is not None:
        problems.append("steps and trainer.max_epochs: give one of the two")
    if options.checkpoint_every is not None and options.checkpoint_every < 1:
        problems.append(f"checkpoint_every: {options.checkpoint_every}; give at least 1 step")
    return Intent(STEP, EpisodePlan("mixture", (options.seed,), steps=options.steps), problems)


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    options: PretrainOptions = parsed.options
    phase = Phase(parsed, STEP, episodic=False)
    if phase.is_done:
        print(f"pretrain: finished already; the model is in {phase.folder.path / 'model'}")
        return
    asked = intent(parsed)
    phase.check(asked.plan, asked.problems, copies=CHECKPOINT_COPIES)
    phase.data.plan = asked.plan
    phase.start()
    trainer = None
    with phase.folder.costs(STEP):
        trainer = _fit(phase, options)
    data, optimizer_steps = phase.data, trainer.global_step
    replicas = trainer.num_devices * trainer.num_nodes
    sampler = data.sampler(data.episodes()[0], trainer.accumulate_grad_batches, 0, replicas)
    # Batches do not cross passes, so that a pass has a whole number of steps, the last of them perhaps a short one.
    passes = optimizer_steps / math.ceil(sum(sampler.sizes) / sampler.effective_batch_size)
    phase.folder.write_json(f"{STEP}.json", {"steps": optimizer_steps, "passes": passes})
    phase.mark_done()
    finish_loggers(trainer)
    if phase.fast_dev_run:
        print("pretrain: fast_dev_run tried each part once and stored nothing")
    elif trainer.is_global_zero:
        print(f"pretrain: {optimizer_steps} steps ({passes:.1f} passes); the model is in {phase.folder.path / 'model'}")


def _fit(phase: Phase, options: PretrainOptions):  # type: ignore[no-untyped-def]  # noqa: ANN202
    folder = phase.folder.path
    checkpoints = folder / "checkpoints" / STEP
    every: dict[str, Any] = (
        {"every_n_train_steps": options.checkpoint_every} if options.checkpoint_every else {"every_n_epochs": 1}
    )
    trainer = phase.build_trainer(
        callbacks=[
            EpisodeProgress(STEP),
            WeightsMustMove(),
            SavePretrained(folder / "model", folder / "initial_model"),
            ModelCheckpoint(checkpoints, save_last=True, save_top_k=0, enable_version_counter=False, **every),
        ],
        logger=phase.build_loggers(STEP),
        **({"max_epochs": 1} if phase.config["trainer"].get("max_epochs") is None else {}),
        **({} if phase.data.test_set_names else {"limit_val_batches": 0}),
    )
    last = last_checkpoint(checkpoints, trainer)
    try:
        run_trainer(
            lambda: trainer.fit(
                phase.build_module(), datamodule=phase.data, ckpt_path=last, weights_only=True if last else None
            )
        )
    except (RuntimeError, KeyError) as error:
        if last is not None and "state_dict" in str(error):
            raise ConfigurationError(
                [f"checkpoint: {last} doesn't fit this model ({str(error).splitlines()[0]}); name another --output"]
            ) from error
        raise
    return trainer


def last_checkpoint(folder: Path, trainer: L.Trainer) -> str | None:
    """Path of the checkpoint to resume from, or None.

    One that was made after the last step is passed over: Lightning would resume it without running anything, so that no
    model would be saved. It is left only where a run was killed between that checkpoint and its model.

    Raises:
        ConfigurationError: if the checkpoint can't be read.
    """
    path = folder / "last.ckpt"
    if not path.is_file():
        return None
    try:
        loops = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["loops"]["fit_loop"]
    except Exception as error:  # torch raises several unrelated classes for files that are none of its own
        message = f"checkpoint: {path} can't be read; delete it to train anew"
        raise ConfigurationError([message]) from error
    epochs = loops["epoch_progress"]["current"]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    at_the_end = batches["is_last_batch"] and epochs + 1 >= (trainer.max_epochs or 1)
    return None if at_the_end or epochs >= (trainer.max_epochs or 1) else str(path)
