"""Retained examples in such an order that each forget example of a step has one of its own class and one of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from lightning_untrac.data.streams import STREAM, RetainedOrder
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.tasks import LANGUAGE

NO_CLASS = -1

PATIENCE = 20
"""So many passes are looked through for a class; one is enough unless shares leave examples out of a pass."""


def classes_of(rows: Rows) -> np.ndarray:
    """The class of each row: its only target, or -1 where it has none or several.

    Args:
        rows: with ``labels``.

    Example:
        >>> classes_of([{"labels": np.array(given)} for given in ([2], [-100, 5], [1, 1])]).tolist()
        [2, 5, -1]
    """
    found = np.full(len(rows), NO_CLASS, dtype=np.int64)
    for index in range(len(rows)):
        labels = np.asarray(rows[index]["labels"])
        targets = labels[labels != IGNORE_INDEX]
        if len(targets) == 1:
            found[index] = targets[0]
    return found


def stratified(order: RetainedOrder, forget: Rows, retain: Rows, module: Any, most: int) -> RetainedOrder:
    """An order that goes with the classes of what is forgotten, where a module asks for it and examples have a class.

    Words have classes of their own, and are left as they come.

    Args:
        order: of the retained examples.
        forget: what is unlearned.
        retain: what ``order`` points to.
        module: that is fitted.
        most: retained examples of a step.

    Raises:
        ConfigurationError: if a step has no room for both partners of an example, or if a class is forgotten of which
            nothing is retained, or beside which nothing of another class is.
    """
    task = getattr(module, "task", LANGUAGE)
    if not getattr(module, "stratifies", False) or task.by_token:  # there a text with one target is a short one
        return order
    forgotten, retained = classes_of(forget), classes_of(retain)
    wanted, there = set(forgotten.tolist()) - {NO_CLASS}, set(retained.tolist()) - {NO_CLASS}
    if not wanted:
        return order
    named = lambda one: str(task.labels[one] if task.labels else one)  # noqa: E731
    problems = []
    if missing := sorted(wanted - there):
        problems.append(
            f"model.unlearning_objective: class {' and '.join(map(named, missing))} has no retained example for those "
            "that are forgotten to be pushed from; forget fewer, or give `stratified: false` to forget a whole class"
        )
    if most < 2:
        problems.append(
            f"data.batch_size: a step has {most} retained example, and each one that is forgotten needs two beside it, "
            "of its own class and of another; raise it, or data.retained_per_example"
        )
    if len(there) == 1 and there <= wanted:
        problems.append(
            f"model.unlearning_objective: all retained examples are of class {named(min(there))}, and "
            "what is forgotten has no other class to go to; retain examples of another class"
        )
    raise_if_any(problems)
    return StratifiedOrder(order.sizes, order.shares, order.seed, retained=retained, forgotten=forgotten)


class Rows(Protocol):
    """Examples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class StratifiedOrder(RetainedOrder):
    """A retained order in which a step's examples change places with later ones where a partner is missing.

    Each step has a retained example of every class that is forgotten in it, and of another class beside each, as far as
    there are such and the step is large enough. No example is drawn more often for it: one that comes early is missing
    later.

    Args:
        sizes: examples of each retained dataset.
        shares: relative weight of each in a pass; None for its size.
        seed: of the episode.
        retained: class of each retained example, -1 for none.
        forgotten: class of each forget example, alike.

    Example:
        >>> order = StratifiedOrder([4], None, 0, retained=np.array([0, 0, 0, 1]), forgotten=np.array([1, 0]))
        >>> [sorted(order.retained[take].tolist()) for take in order.beside(iter([np.array([0, 1])]), times=1)]
        [[0, 1]]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float] | None,
        seed: int,
        *,
        retained: np.ndarray,
        forgotten: np.ndarray,
    ) -> None:
        super().__init__(sizes, shares, seed)
        self.retained, self.forgotten = retained, forgotten

    def beside(self, steps: Iterator[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """See the base class."""
        self._left, self._passes = np.empty(0, dtype=np.int64), 0
        for step in steps:
            count = len(step) * times
            while len(self._left) < count:
                self._extend()
            self._stratify(count, set(self.forgotten[step].tolist()) - {NO_CLASS})
            yield self._left[:count].copy()
            self._left = self._left[count:]

    def _extend(self) -> None:
        self._left = np.concatenate([self._left, self._one_pass(self._passes, STREAM)])
        self._passes += 1

    def _stratify(self, count: int, wanted: set[int]) -> None:
        """Change the places of the next ``count`` examples with later ones until nothing is missing."""
        there = set(self.retained.tolist()) - {NO_CLASS}
        for one in sorted(wanted & there):
            if one not in self.retained[self._left[:count]]:
                self._bring(count, wanted, {one})
        found = set(self.retained[self._left[:count]].tolist()) - {NO_CLASS}
        if len(found) == 1 and found <= wanted and there - found:
            self._bring(count, wanted, there - found)

    def _bring(self, count: int, wanted: set[int], classes: set[int]) -> None:
        """Put the next example of some classes in the place of one that can be spared, if there is any."""
        now = self.retained[self._left[:count]].tolist()
        often = Counter(now)
        spared = next((i for i in reversed(range(count)) if often[now[i]] > 1 or now[i] not in wanted), None)
        if spared is None:
            return
        for _ in range(PATIENCE):
            later = np.flatnonzero(np.isin(self.retained[self._left[count:]], list(classes)))
            if later.size:
                other = count + int(later[0])
                self._left[[spared, other]] = self._left[[other, spared]]
                return
            self._extend()
