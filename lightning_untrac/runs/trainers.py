"""Make Trainers from a user's flags, and say before step 0 what is wrong with the flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar, Timer
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_untrac.config.trainer_callbacks import callback_problems, effective, has_any
from lightning_untrac.config.trainer_flags import flag_problems, in_episodes, trains, without_effect
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.lengths import episode_steps
from lightning_untrac.faults import first_line
from lightning_untrac.modules.members import fit_problems
from lightning_untrac.runs.asked import Checked
from lightning_untrac.runs.checks import gradient_problems, schedule_problems
from lightning_untrac.runs.ending import EndOnSignal, EndWhenTold, prepared, with_our_own_requeueing
from lightning_untrac.strategies import FSDP2, fsdp2_strategy, name_problems, shards_weights

REFUSALS = (
    *(AssertionError, AttributeError, ImportError, KeyError, RuntimeError, TypeError, ValueError),
    MisconfigurationException,
)
"""What Lightning raises where a Trainer can't be made from its flags."""

LOGGED_POINTS = 20
"""Points of each curve of a training step that the loggers get at least, where there are so many steps."""


def trainer_problems(stage: Checked) -> list[str]:
    """What is wrong with the Trainer's flags, alone and together.

    Args:
        stage: the verb's.
    """
    given = stage.trainer_arguments
    found = flag_problems(given, stage.column) + callback_problems(given.get("callbacks"), stage.column)
    found += fit_problems(stage.module.name_or_path) if trains(stage.column) else []
    if given.get("barebones"):
        return found
    if problems := name_problems(given.get("strategy"), given.get("accelerator")):
        return found + problems
    try:
        trainer = stage.take_trial()
        stage.on_cpu = isinstance(trainer.accelerator, CPUAccelerator)
        strategy = trainer.strategy
        found += stage.module.strategy_problems(strategy)
        stage.shards_weights = shards_weights(strategy)
        found += gradient_problems(stage.parsed.options) if stage.shards_weights else []
    except REFUSALS as error:
        found.append(f"trainer: {first_line(error)}")
    return found


def length_problems(stage: Checked, plan: EpisodePlan) -> list[str]:
    """What is wrong with the number of steps, once the data are read: schedules that end early, and empty episodes.

    Args:
        stage: the verb's, with prepared data.
        plan: what it is going to do.
    """
    if not trains(stage.column):
        return []
    given = stage.trainer_arguments
    steps = steps_of(stage, plan)
    if not all(steps):
        limit = given.get("limit_train_batches")
        return [f"trainer.limit_train_batches: {limit} leaves no batch of an episode; give more, or leave it out"]
    interval, batches = given.get("val_check_interval"), steps[0] * (given.get("accumulate_grad_batches") or 1)
    counts_over_passes = stage.parsed.config.trainer.get("check_val_every_n_epoch", 1) is None
    if plan.kind == "mixture" and isinstance(interval, int) and interval > batches and not counts_over_passes:
        return [
            f"trainer.val_check_interval: {interval} batches, and a pass has {batches}; give at most as many, or also "
            "--trainer.check_val_every_n_epoch null to count over all passes"
        ]
    lengths = [whole_length(stage, steps)] if plan.kind == "mixture" else steps
    stage.log_every_n_steps = max(1, min(stage.log_every_n_steps, min(lengths) // LOGGED_POINTS))
    return schedule_problems(stage.module, lengths)


def steps_of(stage: Checked, plan: EpisodePlan) -> list[int]:
    """Optimizer steps of each episode of a plan, or of one pass over the mixture."""
    given = stage.trainer_arguments
    before, stage.data.plan = stage.data.plan, plan
    try:
        return episode_steps(
            stage.data,
            given.get("accumulate_grad_batches") or 1,
            stage.replicas,
            given.get("limit_train_batches"),
        )
    finally:
        stage.data.plan = before


def whole_length(stage: Checked, steps: Sequence[int]) -> int:
    """Optimizer steps of a whole training on the mixture.

    Args:
        stage: the verb's.
        steps: of one pass.
    """
    given = stage.trainer_arguments
    last = given.get("max_steps", -1)
    if given.get("max_epochs", 1) < 0:
        return int(last)
    total = sum(steps) * given.get("max_epochs", 1)
    return min(total, last) if last > 0 else total


def make_trainer(
    stage: Checked, callbacks: Sequence[Callback] = (), logger: Any = None, arguments: Mapping[str, Any] | None = None
) -> L.Trainer:
    """A new Trainer from the user's flags.

    Args:
        stage: whose flags and output folder.
        callbacks: the verb's, before the user's.
        logger: used unless the user configured loggers; False for a Trainer that only measures, which is given none of
            the user's loggers and callbacks.
        arguments: what the verb decides.
    """
    given = stage.parsed.build_trainer_arguments()
    theirs = [] if logger is False else effective(given.pop("callbacks", None), stage.column)
    # The data split themselves by rank, and it is the verbs that say when they are read.
    for name in {*without_effect(stage.column), "barebones", "callbacks"}:
        given.pop(name, None)
    if logger is False:
        given["logger"] = False
    if (
        trains(stage.column)
        and not in_episodes(stage.column)
        and stage.parsed.config.trainer.get("check_val_every_n_epoch", 1) is None
    ):
        given["check_val_every_n_epoch"] = None  # counts batches over all passes, in Lightning
    max_time = given.pop("max_time", None)
    if max_time is not None and not has_any(theirs, Timer):
        try:
            theirs.append(Timer(max_time))
        except REFUSALS as error:
            raise MisconfigurationException(f"max_time: {max_time!r}; {first_line(error)}") from error
    if given.get("strategy") == FSDP2:
        given["strategy"] = _fsdp2(given)
    given.setdefault("enable_model_summary", False)
    given.setdefault("num_sanity_val_steps", 0)
    given.setdefault("log_every_n_steps", stage.log_every_n_steps)
    given.setdefault("logger", logger)
    if given.get("enable_progress_bar") is False or has_any(theirs, ProgressBar):
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    if given.get("enable_checkpointing") is False:
        callbacks = [callback for callback in callbacks if not isinstance(callback, Checkpoint)]
    ending = EndWhenTold(in_episodes(stage.column))  # after the user's, any of which may have told
    trainer = L.Trainer(
        **{
            **given,
            "plugins": with_our_own_requeueing(given.get("plugins"), given.get("strategy")),
            "default_root_dir": given.get("default_root_dir") or stage.folder.path,
            "callbacks": [*callbacks, EndOnSignal(), *theirs, ending],
            "use_distributed_sampler": False,
            **(arguments or {}),
        }
    )
    return prepared(trainer)


def _fsdp2(given: Mapping[str, Any]) -> Strategy:
    hardware = {key: given[key] for key in ("accelerator", "devices", "num_nodes") if key in given}
    counted = L.Trainer(**hardware, logger=False, enable_checkpointing=False, enable_model_summary=False)
    return fsdp2_strategy(counted.num_devices * counted.num_nodes)
