"""Run passes over datasets for a method that scores at the trained weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lightning_untrac.attribution.gradients import DatasetGradients, PassResult
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.callbacks.pass_progress import PassProgress
from lightning_untrac.data.passes import DatasetPass, PassesDataModule
from lightning_untrac.modules import LanguageModule


def go_through(
    run: ScoringRun,
    name: str,
    passes: Sequence[DatasetPass],
    receive: Callable[[DatasetGradients, DatasetPass, PassResult], Any],
    phase: LanguageModule | None = None,
) -> DatasetGradients:
    """Go through datasets in one fit that steps on nothing.

    Args:
        run: its Trainer and data.
        name: what the progress bar calls this.
        passes: what to go through, in order.
        receive: called with the module, each pass and what it has found; see ``DatasetGradients``.
        phase: whose model it is; that of the run by default.

    Returns:
        The module, with its weights.
    """
    module = DatasetGradients(phase or run.build_module(), lambda one, result: receive(module, one, result))
    arguments: dict[str, Any] = {
        "max_epochs": len(passes),
        "reload_dataloaders_every_n_epochs": 1,
        "limit_val_batches": 0,
        "logger": False,
        "enable_checkpointing": False,
        # Of the user's steps, which there are none of here; Lightning refuses them without its own optimization.
        "gradient_clip_val": None,
        "accumulate_grad_batches": 1,
        "max_steps": -1,
    }
    trainer = run.build_trainer(callbacks=[PassProgress(name)], **arguments)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        # Its one epoch would be one dataset; a batch of each tries every part.
        arguments |= {"fast_dev_run": False, "limit_train_batches": 1}
        trainer = run.build_trainer(callbacks=[PassProgress(name)], **arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*configure_optimizers. returned .None.*")
        trainer.fit(module, datamodule=PassesDataModule(run.data, passes))
    return module
