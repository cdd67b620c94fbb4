"""What each of Lightning's callbacks does in each verb, where a user adds it.

docs/trainer_flags.md shows the same table. A callback that a new release of Lightning brings fails
tests/verbs/test_trainer_flags.py until it has a row here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback

from lightning_untrac.config.trainer_flags import FLAGS, Row, row
from lightning_untrac.verb import Column

CHECKPOINTS = (
    "an episode can't be gone on from in its middle, and what is finished is in the table; give it to pretrain alone "
    "(for unlearn there is --checkpoint_every)"
)
AVERAGES = "averages weights over steps, where single steps are measured, saved and put back; leave it out"
SEARCHES = "takes steps and changes settings before the first one; leave it out, and give the value itself"
FREEZES = "freezes and thaws parameters on the way; use --model.trainable"

CALLBACKS: dict[str, Row] = {
    "BackboneFinetuning": row("refused", FREEZES, reads="no effect"),
    "BaseFinetuning": row("refused", FREEZES, reads="no effect"),
    "BasePredictionWriter": row("no effect", "no verb predicts in Lightning's sense"),
    "BatchSizeFinder": row("refused", SEARCHES, reads="no effect"),
    "Callback": row("used", "your own: counts as a setting of the run", rivals="no effect"),
    "Checkpoint": row("refused", CHECKPOINTS, pretrain="used", reads="no effect"),
    "DeviceStatsMonitor": row("used", "logs", reads="no effect"),
    "EarlyStopping": row(
        "refused",
        "ends all episodes at once, without a last reading; use fewer --steps (or --read_at_own_rise in trace)",
        pretrain="used",
        reads="no effect",
    ),
    "GradientAccumulationScheduler": row(
        "refused",
        "changes the size of a step on the way, for which the data are not cut; use --trainer.accumulate_grad_batches",
        reads="no effect",
    ),
    "LambdaCallback": row("used", "your own: counts as a setting of the run", rivals="no effect"),
    "LearningRateFinder": row("refused", SEARCHES, reads="no effect"),
    "LearningRateMonitor": row("used", "logs", reads="no effect"),
    "ModelCheckpoint": row("refused", CHECKPOINTS, pretrain="used", reads="no effect"),
    "ModelPruning": row(
        "refused",
        "puts masks over the weights, which are then saved and put back wrongly; leave it out",
        reads="no effect",
    ),
    "ModelSummary": row("used", "prints", reads="no effect"),
    "OnExceptionCheckpoint": row(
        "refused",
        "makes Lightning begin from its own file; pretrain and unlearn go on from theirs (--checkpoint_every)",
        reads="no effect",
    ),
    "ProgressBar": row("used", "takes the place of the verb's own bar and lines", reads="no effect"),
    "RichModelSummary": row("used", "prints", reads="no effect"),
    "RichProgressBar": row("used", "takes the place of the verb's own bar and lines", reads="no effect"),
    "StochasticWeightAveraging": row("refused", AVERAGES, reads="no effect"),
    "SpikeDetection": row(
        "refused",
        "ends the run where the loss rises, which is what unlearning is for; --collapse_cap ends an episode that "
        "breaks the model",
        pretrain="used",
        leave_out="used",
        reads="no effect",
    ),
    "ThroughputMonitor": row("used", "logs", reads="no effect"),
    "Timer": row("used", "with a duration: as --trainer.max_time", reads="no effect"),
    "TQDMProgressBar": row("used", "takes the place of the verb's own bar and lines", reads="no effect"),
    "EMAWeightAveraging": row("refused", AVERAGES, reads="no effect"),
    "WeightAveraging": row("refused", AVERAGES, reads="no effect"),
}
"""One row a callback."""

PASSIVE = (
    *("LearningRateMonitor", "DeviceStatsMonitor", "ModelSummary", "RichModelSummary", "ThroughputMonitor"),
    *("ProgressBar", "RichProgressBar", "TQDMProgressBar", "Timer"),
    *("Checkpoint", "ModelCheckpoint", "BasePredictionWriter", "SpikeDetection"),
)
"""Those of Lightning's own that only look, print, write files or end a run. Any other may change what comes out."""


def row_of(callback: Callback) -> Row:
    """The row of the nearest class of Lightning's that a callback is made from."""
    for kind in type(callback).__mro__:
        if kind.__module__.startswith("lightning.pytorch.") and kind.__name__ in CALLBACKS:
            return CALLBACKS[kind.__name__]
    return CALLBACKS["Callback"]


def as_list(callbacks: Any) -> list[Callback]:
    """The Trainer's ``callbacks``, which may be one, several or none."""
    return list(callbacks) if isinstance(callbacks, list | tuple) else [] if callbacks is None else [callbacks]


def callback_problems(callbacks: Any, column: Column) -> list[str]:
    """Which of a user's callbacks a verb refuses, and why."""
    return [
        f"trainer.callbacks: {type(callback).__name__} {row_of(callback).why}"
        for callback in as_list(callbacks)
        if row_of(callback).outcomes[column] == "refused"
    ]


def effective(callbacks: Any, column: Column) -> list[Callback]:
    """Those of a user's callbacks that a verb's Trainer is given."""
    return [one for one in as_list(callbacks) if row_of(one).outcomes[column] != "no effect"]


def for_retraining(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's flags of a recipe's ``pretrain``, for the ``leave-out`` that takes its settings.

    What only said how long training is, and how it is watched, stays behind: pretrain.json says how long it took.

    Args:
        trainer: as the recipe has them.
    """
    kept = {name: value for name, value in trainer.items() if _is_for_both(FLAGS.get(name))}
    if kept.get("callbacks"):
        theirs = kept["callbacks"] if isinstance(kept["callbacks"], list) else [kept["callbacks"]]
        kept["callbacks"] = [one for one in theirs if _is_for_both(CALLBACKS.get(lightning_name(one) or ""))] or None
    return kept


def _is_for_both(one: Row | None) -> bool:
    return one is None or one.outcomes["pretrain"] == "refused" or one.outcomes["leave-out"] != "refused"


def lightning_name(callback: Any) -> str | None:
    """The name of one of Lightning's own callbacks in a configuration; None for any other."""
    path = str(callback.get("class_path", "")) if isinstance(callback, dict) else ""
    return path.rpartition(".")[2] if path.startswith("lightning.pytorch.callbacks.") else None


def has_any(callbacks: Sequence[Callback], kind: type) -> bool:
    """Whether there is a callback of a kind."""
    return any(isinstance(callback, kind) for callback in callbacks)
