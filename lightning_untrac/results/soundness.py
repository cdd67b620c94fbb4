"""Whether a column of influences allows a verdict, and why not: the one rule that every table and sentence asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.methods import method_title
from lightning_untrac.results.sentence import Name, Sentence, listed


class Influences(Protocol):
    """What the rule asks of :class:`~lightning_untrac.results.matrix.InfluenceMatrix`."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the rows."""

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Influences."""

    @property
    def flags(self) -> npt.NDArray[np.str_]:
        """Status of each cell."""

    @property
    def learned(self) -> npt.NDArray[np.float64]:
        """How far the losses before lay below that of a uniform guess."""


#: Flag of a cell that the table holds no reading for.
MISSING: Final = "missing"

FLAG_TITLES: Final = {
    "collapsed": "collapsed",
    "nonfinite": "not finite",
    "broken": "worse than guessing",
    MISSING: "not read",
}
"""What a flagged cell says."""

HARDLY: Final = 0.05
"""Nats per token that a loss must lie below that of a uniform guess for there to be something to attribute."""

_MEANINGS: Final = {
    "nonfinite": "gave losses that are not finite for ",
    "collapsed": "made the model collapse for ",
    "broken": "raised the loss above that of a uniform guess for ",
}


def learned_of(readings: Sequence[Mapping[str, Any]]) -> float:
    """How far the losses before lay below that of a uniform guess, nats per token; NaN where that is not known.

    What was never learned comes from nowhere: below 0 a column has no verdict, and below :data:`HARDLY` it is said that
    there is next to nothing to attribute.

    Args:
        readings: Rows of one corpus and test set, a seed each.
    """
    pairs = [(reading.get("guess_loss"), reading.get("loss_before")) for reading in readings]
    if any(guess is None or before is None for guess, before in pairs):
        return float("nan")
    return max(guess - before for guess, before in pairs)  # type: ignore[operator]


def why_no_verdict(matrix: Influences, test_set: str) -> Sentence:
    """Why nothing may be said about which corpus a test set comes from.

    A verdict ranks all corpora. Where one of them has no number that can be trusted it might be the first, and where
    the losses stood above that of a uniform guess before the first step there is nothing to attribute.

    Args:
        matrix: Influences of a method.
        test_set: One of its test sets.

    Returns:
        The reason, to go after "because"; empty where a verdict may be given.
    """
    column = matrix.test_sets.index(test_set)
    flags = matrix.flags[:, column]
    for flag, meaning in _MEANINGS.items():
        if names := [name for name, its in zip(matrix.corpora, flags, strict=True) if its == flag]:
            return (f"{method_title(matrix.method)} {meaning}", *listed(names))
    if names := [name for name, its in zip(matrix.corpora, flags, strict=True) if its == MISSING]:
        return (f"{method_title(matrix.method)} has no reading of ", *listed(names))
    strange = matrix.learned[:, column] < 0
    if strange.all():
        return (
            "the loss stood above that of a uniform guess before the first step: the model never learned it, and there "
            "is nothing to attribute",
        )
    if strange.any():
        names = [name for name, its in zip(matrix.corpora, strange, strict=True) if its]
        return ("the loss on ", *listed(names), " stood above that of a uniform guess before the first step")
    return ()


def no_verdict(matrix: Influences, test_set: str) -> Sentence:
    """The same as a sentence about the test set; empty where a verdict may be given."""
    reason = why_no_verdict(matrix, test_set)
    return (Name(test_set), ": no verdict, because ", *reason, ".") if reason else ()


def hardly_learned(matrix: Influences, test_set: str) -> Sentence:
    """A remark on a test set that the model is hardly better at than a uniform guess; empty elsewhere."""
    learned = matrix.learned[:, matrix.test_sets.index(test_set)]
    if not (np.isfinite(learned).all() and learned.min() >= 0 and learned.max() < HARDLY):
        return ()
    lowered = f" lay only {learned.max():.2f} nats per token below that of a uniform guess"
    advice = ": training hardly lowered it, and there is next to nothing to attribute."
    return ("before the first step the loss on ", Name(test_set), lowered + advice)


def sound_columns(matrix: Influences) -> list[bool]:
    """Which test sets allow a verdict, in their order."""
    bad = (matrix.flags != "ok") | ~np.isfinite(matrix.values) | (matrix.learned < 0)
    return [not column.any() for column in bad.T]
