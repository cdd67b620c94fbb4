"""The steps of one seed, cut into stretches of equal length: what its noise is told from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.matrix import as_records

Path = Mapping[int, float]
"""Influence by step, of one corpus on one test set."""

STRETCHES: Final = (4, 2)
"""How many an episode is cut into: quarters where it was read at about those steps, else halves."""
_OFF: Final = 0.5
"""How far a reading may lie from the end of a stretch, in lengths of a stretch."""
_FEWEST_CORPORA: Final = 3


def paths_of(rows: Any, method: str) -> dict[tuple[str, str], dict[int, float]]:
    """All readings of a method, by corpus and test set.

    Args:
        rows: Readings of one seed, as a table or as rows.
        method: Which method.
    """
    if hasattr(rows, "to_pylist"):
        import pyarrow.compute as pc

        columns = ["method", "corpus", "test_set", "step", "influence"]
        rows = rows.select(columns).filter(pc.equal(rows["method"], method))
    paths: dict[tuple[str, str], dict[int, float]] = {}
    for record in as_records(rows):
        if record["method"] == method:
            paths.setdefault((record["corpus"], record["test_set"]), {})[record["step"]] = record["influence"]
    return paths


def levels_of(paths: Sequence[Path]) -> npt.NDArray[np.float64] | None:
    """Influences at the ends of stretches of equal length, as nearly as they were read.

    Args:
        paths: One a corpus, of one test set.

    Returns:
        ``[corpora, stretches]``; None where there are fewer than three corpora, where they end at different steps, or
        were not read in between.

    >>> levels_of([{5: 0.1, 10: 0.2, 15: 0.3, 20: 0.4}] * 3).shape, levels_of([{20: 0.4}] * 3)
    ((3, 4), None)
    """
    if len(paths) < _FEWEST_CORPORA or not all(paths) or len({max(path) for path in paths}) > 1:
        return None
    steps = np.array(sorted(step for step in set.intersection(*map(set, paths)) if step > 0), dtype=np.int64)
    if not len(steps):
        return None
    for count in STRETCHES:
        ends = steps[-1] * np.arange(1, count + 1) / count
        nearest = steps[np.abs(steps[:, None] - ends).argmin(axis=0)]
        near = np.abs(nearest - ends) < _OFF * steps[-1] / count
        if len(set(nearest.tolist())) == count and near.all():
            found = np.array([[path[int(step)] for step in nearest] for path in paths], dtype=np.float64)
            return found if np.isfinite(found).all() else None
    return None
