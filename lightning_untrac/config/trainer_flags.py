"""What each flag of Lightning's Trainer does in each verb: used, noted, refused with a reason, or without effect.

docs/trainer_flags.md shows the same table. A flag that a new release of Lightning brings fails
tests/verbs/test_trainer_flags.py until it has a row here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lightning.pytorch import Trainer

from lightning_untrac.verb import Column

Outcome = Literal["used", "noted", "refused", "no effect"]
"""``used`` as Lightning means it; ``noted``: used, and the tables' notes say so; ``refused`` before anything is run;
``no effect``: never reaches the Trainer."""

COLUMNS: tuple[Column, ...] = get_args(Column)


@dataclass(frozen=True)
class Row:
    """A flag or a callback.

    Attributes:
        outcomes: by verb.
        why: what it does here, or why it is refused and what to give instead.
    """

    outcomes: Mapping[Column, Outcome]
    why: str


def row(otherwise: Outcome, why: str, **outcomes: Outcome) -> Row:
    """A row of the table.

    Args:
        otherwise: of the verbs that ``outcomes`` does not name.
        why: see :class:`Row`.
        outcomes: by verb, ``leave_out`` for leave-out; ``episodes`` for trace, leave-out and unlearn; ``reads`` for
            rivals and evaluate, which train nothing.
    """
    found: dict[Any, Outcome] = dict.fromkeys(COLUMNS, otherwise)
    groups = {"episodes": ("trace", "leave-out", "unlearn"), "reads": ("rivals", "evaluate")}
    for name, outcome in outcomes.items():
        found |= dict.fromkeys(groups.get(name, (name.replace("_", "-"),)), outcome)
    return Row(found, why)


EPISODES = "an epoch is an episode and their number is known; use --steps or --passes"

FLAGS: dict[str, Row] = {
    "accelerator": row("used", "where it runs; rounding differs"),
    "strategy": row("used", "auto, ddp, fsdp2 or fsdp; others are refused (devices.md)"),
    "devices": row("used", "ranks share a step; rounding differs"),
    "num_nodes": row("used", "ranks share a step; rounding differs"),
    "precision": row("used", "of the model's arithmetic; losses are summed in float64 whatever it is"),
    "logger": row("used", "replaces the CSV logger; scores at the trained weights log nothing", rivals="no effect"),
    "callbacks": row("used", "see the table of callbacks"),
    "fast_dev_run": row("used", "tries every part on a batch or a few and stores nothing"),
    "max_epochs": row("refused", EPISODES, pretrain="used", evaluate="no effect"),
    "min_epochs": row("refused", EPISODES, pretrain="used", evaluate="no effect"),
    "max_steps": row(
        "refused", "counts over all episodes; use --steps, which counts in each", pretrain="used", evaluate="no effect"
    ),
    "min_steps": row(
        "refused", "counts over all episodes; use --steps, which counts in each", pretrain="used", evaluate="no effect"
    ),
    "max_time": row(
        "used", "ends the command with exit code 124; the same command goes on from what is finished", reads="no effect"
    ),
    "limit_train_batches": row("noted", "passes and episodes end after so many batches", reads="no effect"),
    "limit_val_batches": row(
        "refused",
        "reads no loss (0) or those of the longest examples only, and some datasets not at all; leave it out, "
        "and give num_examples to a dataset to read fewer of its examples",
        pretrain="noted",
    ),
    "limit_test_batches": row("no effect", "no verb tests in Lightning's sense"),
    "limit_predict_batches": row("no effect", "no verb predicts in Lightning's sense"),
    "overfit_batches": row(
        "refused",
        "steps on the same batches again and again and reads only so many; leave it out, and give limit_train_batches "
        "or --steps for a short trial",
    ),
    "val_check_interval": row(
        "refused",
        "readings of an episode are set by --readings, a number or a list of steps",
        pretrain="used",
        reads="no effect",
    ),
    "check_val_every_n_epoch": row(
        "refused",
        "an epoch is an episode, and each is read at its end; leave it out",
        pretrain="used",
        reads="no effect",
    ),
    "num_sanity_val_steps": row(
        "refused", "before the first step everything is read in full; leave it out", pretrain="used", reads="no effect"
    ),
    "log_every_n_steps": row("used", "by default so that a run has 20 points or more, at most 50", reads="no effect"),
    "enable_checkpointing": row(
        "no effect",
        "episodes have no checkpoints: what is finished is in the table; false turns off those of pretrain and unlearn",
        pretrain="used",
        unlearn="used",
    ),
    "enable_progress_bar": row("used", "false: no bar, no estimate and no lines of progress"),
    "enable_model_summary": row("used", "off by default", evaluate="no effect"),
    "accumulate_grad_batches": row(
        "used", "a step takes so many batches, each token weighing the same", reads="no effect"
    ),
    "gradient_clip_val": row("used", "clips the gradient of the whole step; off by default", reads="no effect"),
    "gradient_clip_algorithm": row("used", "norm or value", reads="no effect"),
    "deterministic": row("used", "torch's deterministic algorithms"),
    "benchmark": row("used", "cuDNN's search for fast kernels"),
    "inference_mode": row("used", "false: readings under no_grad instead, as where a measure needs gradients"),
    "use_distributed_sampler": row("no effect", "the data are split over ranks without repeating an example, always"),
    "profiler": row("used", "its report is printed when a fit ends"),
    "detect_anomaly": row("used", "slow; a NaN ends the run and is not recorded as one"),
    "barebones": row("refused", "turns off the callbacks that measure; leave it out"),
    "plugins": row("used", "precision, cluster and checkpoint plugins"),
    "sync_batchnorm": row("no effect", "language models have no batch norm"),
    "reload_dataloaders_every_n_epochs": row("no effect", "set by the verb: each episode has its own data"),
    "default_root_dir": row("used", "where Lightning's own files go; the output folder by default"),
    "enable_autolog_hparams": row("no effect", "loggers get the whole configuration already"),
    "model_registry": row(
        "refused", "nothing is uploaded by a verb; leave it out, and upload model/ when it is finished"
    ),
}
"""One row a flag, in Lightning's order."""

DEFAULTS: dict[str, Any] = {
    name: parameter.default for name, parameter in inspect.signature(Trainer.__init__).parameters.items()
}


def says_something(flag: str, value: Any) -> bool:
    """Whether a flag's value is another than Lightning's default.

    Example:
        >>> says_something("limit_val_batches", 1), says_something("limit_val_batches", 1.0)
        (True, False)
    """
    if value is None:
        return False
    if flag.startswith("limit_"):  # the default, 1.0, means all; the integer 1 means one batch
        return not (isinstance(value, float) and value == 1.0)
    return bool(value != DEFAULTS.get(flag))


AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps")


def flag_problems(given: Mapping[str, Any], column: Column) -> list[str]:
    """What is wrong with the Trainer's flags in a verb, as far as they alone can tell.

    Args:
        given: flags and values, as the user gave them.
        column: the verb.
    """
    asked = {flag: value for flag, value in given.items() if says_something(flag, value) and flag in FLAGS}
    found = [
        f"trainer.{flag}: {value!r}; {FLAGS[flag].why}"
        for flag, value in asked.items()
        if FLAGS[flag].outcomes[column] == "refused"
    ]
    effective = {flag: value for flag, value in asked.items() if FLAGS[flag].outcomes[column] in ("used", "noted")}
    counts = [flag for flag in AT_LEAST_ONE if effective.get(flag, 1) < 1]
    found += [f"trainer.{flag}: {effective[flag]}; give at least 1" for flag in counts]
    if asked.get("reload_dataloaders_every_n_epochs", 0) < 0:
        found.append(
            f"trainer.reload_dataloaders_every_n_epochs: {asked['reload_dataloaders_every_n_epochs']}; leave it out"
        )
    if not (effective.get("gradient_clip_val") or 0) >= 0:
        found.append(f"trainer.gradient_clip_val: {effective['gradient_clip_val']}; give a positive number")
    if effective.get("limit_train_batches") == 0:
        found.append("trainer.limit_train_batches: 0 batches train nothing; leave it out, or give at least 1")
    if trains(column) and not in_episodes(column):
        found += _length_problems(effective)
    return found


def _length_problems(given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the flags that say how long training is."""
    found = []
    if given.get("max_steps") == 0 or given.get("max_epochs") == 0:
        found.append("trainer.max_steps / max_epochs: 0 steps train nothing; give at least 1")
    if given.get("max_epochs", 1) < 0 and given.get("max_steps", -1) < 1:
        found.append(
            f"trainer.max_epochs: {given['max_epochs']} passes have no end; give how many, or --trainer.max_steps"
        )
    if given.get("max_steps", -1) < -1:
        found.append(f"trainer.max_steps: {given['max_steps']}; give at least 1, or leave it out")
    return found


def flag_notes(given: Mapping[str, Any], column: Column) -> list[str]:
    """What a reader of the tables should know about the flags, a sentence each.

    Args:
        given: flags and values, as the user gave them.
        column: the verb.
    """
    sentences = {
        "limit_train_batches": "each pass or episode ends after {} of its batches",
        "limit_val_batches": "the losses that were logged are of {} of the batches, those of the longest examples",
    }
    return [
        f"trainer.{flag} {value}: {sentences[flag].format(value)}"
        for flag, value in given.items()
        if flag in FLAGS and FLAGS[flag].outcomes[column] == "noted" and says_something(flag, value)
    ]


def trains(column: Column) -> bool:
    """Whether a verb takes optimizer steps."""
    return FLAGS["accumulate_grad_batches"].outcomes[column] == "used"


def in_episodes(column: Column) -> bool:
    """Whether an epoch of a verb is an episode, so that the number of epochs is none of the user's."""
    return trains(column) and FLAGS["max_epochs"].outcomes[column] == "refused"


def without_effect(column: Column) -> set[str]:
    """The flags that do nothing in a verb, and that its Trainer is not given."""
    return {flag for flag, one in FLAGS.items() if one.outcomes[column] == "no effect"}
