"""Whether a classifier's data have what it needs of each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.tasks import Task

if TYPE_CHECKING:
    from lightning_untrac.data.tokenized import TokenizedDataset


def class_counts(dataset: TokenizedDataset, num_classes: int) -> np.ndarray:
    """How many targets of each class a dataset has, ``[classes]`` int64."""
    counts = np.zeros(num_classes, dtype=np.int64)
    for index in range(len(dataset)):
        ids = np.asarray(dataset[index]["labels"])
        counts += np.bincount(ids[ids != IGNORE_INDEX], minlength=num_classes)
    return counts


def one_class_problems(corpora: Iterable[TokenizedDataset], task: Task) -> list[str]:
    """Whether all that is trained on is of one class."""
    counts = sum((class_counts(corpus, len(task.labels)) for corpus in corpora), np.zeros(len(task.labels), np.int64))
    if (counts > 0).sum() != 1:
        return []
    only = task.labels[int(counts.argmax())]
    return [f"data.corpora: all {counts.sum()} targets are of the class {only!r}; a classifier needs two or more"]


def retained_class_problems(
    forget: TokenizedDataset,
    retained: Sequence[TokenizedDataset],
    task: Task,
    whole_classes: bool = False,
    stratifies: bool = False,
) -> list[str]:
    """Whether some class of what is forgotten has no example that stays.

    Args:
        forget: the forget set.
        retained: what stays.
        task: of the model.
        whole_classes: whether the user lets a class go as a whole.
        stratifies: whether the objective can't let it.
    """
    if not retained:
        return [
            f"forget: {forget.name} is all that there is, and nothing stays; put what is to stay into a corpus of its "
            "own, or choose examples (forget_examples)"
        ]
    if whole_classes and not stratifies:
        return []
    gone = class_counts(forget, len(task.labels)) > 0
    stays = sum((class_counts(corpus, len(task.labels)) for corpus in retained), np.zeros(len(task.labels), np.int64))
    if not (lost := [task.labels[index] for index in np.flatnonzero(gone & (stays == 0))]):
        return []
    ways = ["`data.whole_classes: true`"] * (not whole_classes) + ["`stratified: false` for the objective"] * stratifies
    return [
        f"forget: with {forget.name} every example of {', '.join(map(repr, lost))} is forgotten, so that no retrained "
        "model knows the class; leave some of each class in the corpora that stay, or, to forget the class as a whole, "
        f"give {' and '.join(ways)}"
    ]


def lost_class_problems(data: Any, plan: EpisodePlan, task: Task, module: Any) -> list[str]:
    """Which classes have no example left, where a classifier forgets something by name.

    Args:
        data: a ``CorpusDataModule``, prepared.
        plan: what is forgotten.
        task: of the model.
        module: that is fitted.
    """
    if not task.classifies or plan.kind not in ("one", "without"):
        return []
    ways = data.whole_classes, getattr(module, "stratifies", False) and not task.by_token
    found = []
    for name in (one for one in plan.only if one in data.tokenized):
        retained = [corpus for one, corpus in data.tokenized_corpora.items() if one != name]
        found += retained_class_problems(data.tokenized[name], retained, task, *ways)
    return found
