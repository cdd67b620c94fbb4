"""The sequences of a forget set and their unseen twins, as the models of a judgement read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against import Sequences
from lightning_untrac.metrics.against.measure import Role
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judging import Arrays

LOSS: Final = "loss"
KNOWN: Final = "memorisation_accuracy"
"""What every judgement reads of each sequence, beside the measure by which outliers are counted."""

SEED_NAME: Final = re.compile(r"(.+)-seed-\d+")
"""Unlearned models whose names differ in that ending alone are seeds of one unlearning."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Read:
    """Numbers of one dataset's sequences, those with a target token.

    Attributes:
        name: of the dataset.
        examples: ``[E]`` their indices in it.
        tokens: ``[E]`` target tokens.
        groups: the group of each, if the dataset names any.
        values: by model and measure, ``[E]``.
    """

    name: str
    examples: Indices
    tokens: Floats
    groups: tuple[str, ...] | None
    values: Mapping[str, Mapping[str, Floats]]


@dataclass(frozen=True)
class Memorised:
    """All that was read for a judgement of memorisation.

    Attributes:
        models: which there are.
        forget: the forget set.
        twins: its unseen twins, maybe of several datasets.
        by_group: whether each group of the forget set stands among the twins of its group.
        stayed_out: name of the twins that a coin flip kept out of training, where it let in the forget set.
        kept: ``[T, all examples]`` gradient norms of the forget set under models that the original's training has kept.
        scores: neighbourhood scores by model and dataset, ``[all examples]``; none where there are no neighbours.
    """

    models: Compared
    forget: Read
    twins: Sequence[Read]
    by_group: bool = False
    stayed_out: str | None = None
    kept: Floats | None = None
    scores: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)

    def unseen(self, model: str, measure: str) -> Floats:
        """A measure of all twins under a model."""
        return np.concatenate([*(twin.values[model][measure] for twin in self.twins), np.zeros(0)])

    def of_stayed_out(self, unseen: Floats) -> Floats:
        """Of one number a twin, those of the twins that a coin kept out of training.

        Args:
            unseen: ``[U]``, in the order of the twins.
        """
        names = np.repeat([twin.name for twin in self.twins], [len(twin.examples) for twin in self.twins])
        found: Floats = unseen[names == self.stayed_out]
        return found

    def parts(self) -> list[tuple[Indices, Indices]]:
        """Which twins belong to which sequences: all to all, unless each group is by itself.

        A group has the twins whose own group is the same, or a part of it (``secret`` of ``secret 4``); without any, it
        has all of them.
        """
        every = np.arange(sum(len(twin.examples) for twin in self.twins))
        groups = self.forget.groups
        if not self.by_group or groups is None:
            return [(np.arange(len(self.forget.examples)), every)]
        theirs = [words for twin in self.twins for words in twin.groups or [""] * len(twin.examples)]
        found = []
        for group in dict.fromkeys(groups):
            words = set(group.split())
            mine = [place for place in every.tolist() if theirs[place] and set(theirs[place].split()) <= words]
            here = np.flatnonzero([one == group for one in groups])
            found.append((here, np.array(mine, dtype=np.int64) if mine else every))
        return found

    def judged(self) -> Iterator[tuple[str, Role, list[str]]]:
        """What is judged: its name, what it is, and the models that it is made of."""
        yield self.models.original, "original", [self.models.original]
        for path in self.models.unlearned:
            yield path, "unlearned", [path]
        for name, paths in seeds_of_one(self.models.unlearned).items():
            yield name, "seeds", paths
        for path in self.models.retrained.values():
            yield path, "retrained", [path]

    def sequences(self, role: Role, paths: Sequence[str]) -> Sequences:
        """The forget set as measures against retrained models take it.

        Args:
            role: what is judged.
            paths: the models that it is made of.
        """
        others = [path for path in self.models.retrained.values() if path not in paths]
        forget = self.forget

        def read(models: Sequence[str], measure: str) -> Floats:
            found = [forget.values[path][measure] for path in models]
            return np.array(found).reshape(len(models), len(forget.tokens))

        alone = paths[0] if role != "seeds" else None
        scores = self.scores.get(alone or "", {})
        twins = [scores[twin.name][twin.examples] for twin in self.twins] if scores else []
        return Sequences(
            role,
            log_probs=-read(paths, LOSS) * forget.tokens,
            tokens=forget.tokens,
            known=read(paths, KNOWN),
            retrained_log_probs=-read(others, LOSS) * forget.tokens,
            retrained_known=read(others, KNOWN),
            original_log_probs=-forget.values[self.models.original][LOSS] * forget.tokens,
            original_known=forget.values[self.models.original][KNOWN],
            unseen_losses=self.unseen(alone, LOSS) if alone else np.zeros(0),
            parts=self.parts(),
            neighbourhood=scores[forget.name][forget.examples] if scores else None,
            unseen_neighbourhood=np.concatenate([*twins, np.zeros(0)]) if scores else None,
            kept_gradient_norms=None if self.kept is None else self.kept[:, forget.examples],
            scores=dict(forget.values[alone]) if alone else {},
            unseen_scores={name: self.unseen(alone, name) for name in forget.values[alone]} if alone else {},
        )


def seeds_of_one(unlearned: Sequence[str]) -> dict[str, list[str]]:
    """Models that are seeds of one unlearning, by the name that they have in common.

    Args:
        unlearned: paths of models.

    Example:
        >>> seeds_of_one(["a/unlearned-x-npo-seed-0", "a/unlearned-x-npo-seed-1", "a/unlearned-x", "a/b-seed-0"])
        {'a/unlearned-x-npo-seed-*': ['a/unlearned-x-npo-seed-0', 'a/unlearned-x-npo-seed-1']}
    """
    found: dict[str, list[str]] = {}
    for path in unlearned:
        if match := SEED_NAME.fullmatch(Path(path).name):
            found.setdefault(str(Path(path).with_name(f"{match[1]}-seed-*")), []).append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def measures_read(counted: str) -> list[str]:
    """Names of what is read of each sequence where outliers are counted by a measure.

    >>> measures_read("extraction_strength")
    ['loss', 'memorisation_accuracy', 'extraction_strength']
    """
    return list(dict.fromkeys((LOSS, KNOWN, counted)))


def read_of(measured: Mapping[str, Arrays], models: Compared, measures: Sequence[str], name: str, groups: Any) -> Read:
    """What the passes of a judgement say of one dataset.

    Args:
        measured: by model.
        models: which there are.
        measures: that were read of each model.
        name: of the dataset.
        groups: the group of each of its examples, or None.
    """
    weights = measured[models.original][f"{LOSS}/weight"][name]
    examples = np.flatnonzero(weights)

    def read(arrays: Arrays, measure: str) -> Floats:
        values, counted = (arrays[f"{measure}/{part}"][name][examples] for part in ("value", "weight"))
        return np.where(counted > 0, values, np.nan)  # some say nothing of some sequences

    values = {path: {measure: read(measured[path], measure) for measure in measures} for path in models.every}
    chosen = None if groups is None else tuple(groups[index] for index in examples.tolist())
    return Read(name, examples, weights[examples], chosen, values)
