"""The classes of a classifier: what the user says of them, and what a saved model says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.modules.heads import for_task, task_name
from lightning_untrac.naming import counted
from lightning_untrac.tasks import TASKS, Task, TaskName

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Labels = Sequence[str] | int
"""Names of the classes, or how many there are."""

UNNAMED = re.compile(r"LABEL_\d+")
"""What transformers calls a class without a name."""


def class_problems(task: str | None, labels: Labels | None, is_new: bool) -> list[str]:
    """What is wrong with the settings, before any model is looked up.

    Args:
        task: of the model; None for what a saved model says, or labels.
        labels: of the classes.
        is_new: whether the model is made from a configuration.
    """
    found = []
    if task is not None and task not in TASKS:
        found.append(f"model.task: {task!r} is unknown; use one of {', '.join(TASKS)}")
    if labels is None:
        if is_new and task not in (None, TASKS[0]) and task in TASKS:
            found.append(f"model.labels: not given, and a new model for {task} needs them; give {_GIVE}")
        return found
    if task == TASKS[0]:
        found.append(f"model.labels: classes belong to a classifier, and model.task is {task}; leave one of them out")
    names = label_names(labels)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        found.append(f"model.labels: {', '.join(twice)}: named more than once; give each class one name")
    if len(names) < 2:
        found.append(f"model.labels: {counted(max(0, len(names)), 'class')}; a classifier needs two or more")
    return found


_GIVE = "the names of the classes (--model.labels '[negative, positive]'), or how many there are"


def label_names(labels: Labels) -> tuple[str, ...]:
    """A name for each class.

    Example:
        >>> label_names(2), label_names(["no", "yes"])
        (('LABEL_0', 'LABEL_1'), ('no', 'yes'))
    """
    return tuple(f"LABEL_{index}" for index in range(labels)) if isinstance(labels, int) else tuple(map(str, labels))


def task_of(config: PretrainedConfig) -> Task:
    """The task of a configuration's model, with its classes."""
    name = task_name(config)
    if name == "language":
        return Task()
    return Task(name, tuple(str(config.id2label[index]) for index in sorted(config.id2label)))


def with_classes(config: PretrainedConfig, task: TaskName | None, labels: Labels | None) -> bool:
    """Settle what a model is for, and write it into its configuration.

    Args:
        config: as it was saved or made; it is changed.
        task: asked for; None for what the configuration says, or ``sequence_classification`` where there are labels.
        labels: of the classes; None for those of the configuration.

    Returns:
        Whether the classifier's head is one that the saved weights don't have.

    Raises:
        ConfigurationError: if settings and configuration don't go together.
    """
    saved = task_name(config)
    asked = task or (TASKS[1] if saved == "language" and labels is not None else saved)
    if asked == "language":
        if saved != "language":
            for_task(config, asked)
        return False
    raise_if_any(_config_problems(config, asked))
    is_new = asked != saved
    if is_new and labels is None:
        raise ConfigurationError(
            [f"model.labels: not given, and the saved model has no head for {asked} and gets a new one; give {_GIVE}"]
        )
    if labels is not None:
        _name(config, label_names(labels), is_new)
    if is_new:
        for_task(config, asked)
    return is_new


def _config_problems(config: PretrainedConfig, asked: TaskName) -> list[str]:
    if config.is_encoder_decoder:
        return [
            f"model.task: {config.model_type} is an encoder-decoder, which is not taken as a classifier; give an "
            "encoder or a decoder, or let it write the label (`prompt` and `target` columns)"
        ]
    kind = getattr(config, "problem_type", None)
    if kind not in (None, "single_label_classification"):
        return [f"model: its problem_type is {kind}; an example has exactly one class here"]
    return []


def _name(config: PretrainedConfig, names: tuple[str, ...], is_new: bool) -> None:
    """Give the classes their names; of a saved head only such as had none."""
    own = [str(config.id2label[index]) for index in sorted(config.id2label)]
    if not is_new:
        if len(own) != len(names):
            raise ConfigurationError(
                [f"model.labels: {counted(len(names), 'class')}, and the saved model has {len(own)}: "
                 f"{', '.join(own)}; leave `labels` out, or train a new head on a model without one"]
            )  # fmt: skip
        if tuple(own) != names and not all(UNNAMED.fullmatch(one) for one in (*own,)):
            if all(UNNAMED.fullmatch(one) for one in names):
                return  # so many classes, which is right
            raise ConfigurationError(
                [f"model.labels: {', '.join(names)}, and the saved model's are {', '.join(own)}, in this order; leave "
                 "`labels` out"]
            )  # fmt: skip
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
