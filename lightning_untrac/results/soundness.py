"""Whether a column of influences allows a verdict, and why not: the one rule that every table and sentence asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.results.methods import method_title
from lightning_untrac.results.sentence import Name, Sentence, listed

if TYPE_CHECKING:
    from lightning_untrac.results.matrix import InfluenceMatrix

#: Flag of a cell that the table holds no reading for.
MISSING: Final = "missing"

FLAG_TITLES: Final = {
    "collapsed": "collapsed",
    "nonfinite": "not finite",
    "broken": "worse than guessing",
    MISSING: "not read",
}
"""What a flagged cell says."""

_MEANINGS: Final = {
    "nonfinite": "gave losses that are not finite for ",
    "collapsed": "made the model collapse for ",
    "broken": "raised the loss above that of a uniform guess for ",
}


def never_learned(readings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the losses before stood above that of a uniform guess: what was never learned comes from nowhere."""
    pairs = [(reading.get("loss_before"), reading.get("guess_loss")) for reading in readings]
    return all(before is not None and guess is not None and before > guess for before, guess in pairs)


def why_no_verdict(matrix: InfluenceMatrix, test_set: str) -> Sentence:
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
    strange = matrix.never_learned[:, column]
    if strange.all():
        return (
            "the loss stood above that of a uniform guess before the first step: the model never learned it, and there "
            "is nothing to attribute",
        )
    if strange.any():
        names = [name for name, its in zip(matrix.corpora, strange, strict=True) if its]
        return ("the loss on ", *listed(names), " stood above that of a uniform guess before the first step")
    return ()


def no_verdict(matrix: InfluenceMatrix, test_set: str) -> Sentence:
    """The same as a sentence about the test set; empty where a verdict may be given."""
    reason = why_no_verdict(matrix, test_set)
    return (Name(test_set), ": no verdict, because ", *reason, ".") if reason else ()


def sound_columns(matrix: InfluenceMatrix) -> list[bool]:
    """Which test sets allow a verdict, in their order."""
    bad = (matrix.flags != "ok") | ~np.isfinite(matrix.values) | matrix.never_learned
    return [not column.any() for column in bad.T]
