"""``untrac pretrain``: train a model on the mixture of the corpora."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_untrac.callbacks import EpisodeProgress, SavePretrained, WeightsMustMove
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.modules import Pretraining
from lightning_untrac.verbs.parsing import parse
from lightning_untrac.verbs.phase import Phase, finish_loggers, run_trainer

STEP = "pretrain"


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


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parsed = parse(STEP, PretrainOptions, argv, Pretraining)
    options: PretrainOptions = parsed.options
    phase = Phase(parsed, STEP, episodic=False)
    if phase.is_done:
        print(f"pretrain: finished already; the model is in {phase.folder.path / 'model'}")
        return
    plan = EpisodePlan("mixture", (options.seed,), steps=options.steps)
    problems = []
    if options.steps is not None and phase.config["trainer"].get("max_epochs") is not None:
        problems.append("steps and trainer.max_epochs: give one of the two")
    phase.check(plan, problems)
    phase.data.plan = plan
    phase.start()
    trainer = None
    with phase.folder.costs(STEP):
        trainer = _fit(phase, options)
    data, optimizer_steps = phase.data, trainer.global_step
    effective = data.sampler(data.episodes()[0], trainer.accumulate_grad_batches).effective_batch_size
    passes = optimizer_steps * effective / sum(len(data.training_examples(name)) for name in data.corpus_names)
    phase.folder.write_json(f"{STEP}.json", {"steps": optimizer_steps, "passes": passes})
    phase.mark_done()
    finish_loggers(trainer)
    if trainer.is_global_zero:
        print(f"pretrain: {optimizer_steps} steps ({passes:.1f} passes); the model is in {phase.folder.path / 'model'}")


def _fit(phase: Phase, options: PretrainOptions):  # type: ignore[no-untyped-def]  # noqa: ANN202
    folder = phase.folder.path
    checkpoints = folder / "checkpoints" / STEP
    every = {"every_n_train_steps": options.checkpoint_every} if options.checkpoint_every else {"every_n_epochs": 1}
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
    last = last_checkpoint(checkpoints)
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


def last_checkpoint(folder: Path) -> str | None:
    """Path of the checkpoint to resume from, or None."""
    path = folder / "last.ckpt"
    return str(path) if path.is_file() else None
