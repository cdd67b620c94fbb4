"""An interval on every influence, and which corpora can be told apart: from zero and from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.matrix import InfluenceMatrix, as_records, influence_matrix
from lightning_untrac.results.methods import method_text
from lightning_untrac.results.spread import LEVEL, Spread
from lightning_untrac.results.stretches import levels_of, paths_of
from lightning_untrac.tables.schema import PARTS, RELATIVE, InfluenceRow

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class InfluenceIntervals:
    """How far chance moves the influences of one method.

    Chance is two things: which examples the test set happens to hold, and the order of batches, which is told from
    several seeds, or else from the steps of one (see :func:`growth_variance`). A method may have either or both. Which
    corpora a model was trained on, and its own training, are not part of it.

    Args:
        matrix: The influences, mean over seeds.
        low: Lower end of each 95 % interval (Student's t) ``[K, M]``; NaN where there is none.
        high: Upper end.
        p_zero: p-values of "no influence at all" ``[K, M]``, adjusted over the corpora of a test set (Holm).
        p_equal: p-values of "these two are equal" ``[M, K, K]``, adjusted over the pairs of a test set (Holm).
        from_examples: Whether chance in the examples is in them.
        from_seeds: Whether chance in the seeds is in them.
        from_steps: Whether chance in the order of batches is in them, told from the steps of one seed.
        order_unknown: Whether steps were taken in an order of batches whose chance is not in them.
    """

    matrix: InfluenceMatrix
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    p_zero: npt.NDArray[np.float64]
    p_equal: npt.NDArray[np.float64]
    from_examples: bool
    from_seeds: bool
    from_steps: bool = False
    order_unknown: bool = False

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Cells that have an interval; ``[K, M]``."""
        return np.isfinite(self.low)

    @property
    def half_widths(self) -> npt.NDArray[np.float64]:
        """Half of each interval's width ``[K, M]``."""
        half: npt.NDArray[np.float64] = (self.high - self.low) / 2
        return half

    def away_from_zero(self, test_set: str) -> list[str]:
        """The corpora whose influence on a test set is distinguishable from none, by size."""
        column = self.matrix.test_sets.index(test_set)
        return [self.matrix.corpora[row] for row in self._ranked(column) if self.p_zero[row, column] <= 1 - LEVEL]

    def near_zero(self, test_set: str) -> list[str]:
        """The corpora that have an interval and whose influence on a test set is not distinguishable from none."""
        column = self.matrix.test_sets.index(test_set)
        return [self.matrix.corpora[row] for row in self._ranked(column) if self.p_zero[row, column] > 1 - LEVEL]

    def leaders(self, test_set: str) -> list[str]:
        """The strongest corpus of a test set, and those that cannot be told apart from it."""
        column = self.matrix.test_sets.index(test_set)
        ranked = self._ranked(column)
        level = 1 - LEVEL
        return [self.matrix.corpora[r] for r in ranked if r == ranked[0] or self.p_equal[column, ranked[0], r] > level]

    def tells_apart(self, test_set: str) -> bool:
        """Whether any two corpora are distinguishable on a test set; yes where that is not known."""
        p_values = self.p_equal[self.matrix.test_sets.index(test_set)]
        known = p_values[np.isfinite(p_values)]
        return not len(known) or bool((known <= 1 - LEVEL).any())

    def letters(self, test_set: str, most: int | None = None) -> dict[str, str]:
        """Letters for the strongest corpora of a test set: two share one exactly if they cannot be told apart.

        Args:
            test_set: Which one.
            most: How many corpora; all where None. Of hundreds the search for letters takes minutes.
        """
        from lightning_untrac.functional.uncertainty import shared_letters

        column = self.matrix.test_sets.index(test_set)
        ranked = self._ranked(column)[:most]
        differs = self.p_equal[column][np.ix_(ranked, ranked)] <= 1 - LEVEL
        names = [self.matrix.corpora[row] for row in ranked]
        return dict(zip(names, shared_letters(differs, range(len(ranked))), strict=True))

    def _ranked(self, column: int) -> list[int]:
        values = self.matrix.values[:, column]
        return sorted(np.flatnonzero(self.known[:, column]).tolist(), key=lambda row: -values[row])


def influence_intervals(
    rows: pa.Table | Iterable[InfluenceRow],
    method: str,
    *,
    corpora: Sequence[str] | None = None,
    test_sets: Sequence[str] | None = None,
    num_resamples: int = 2000,
    seed: int = 0,
) -> InfluenceIntervals | None:
    """Intervals on the influences of one method, from its final readings.

    The variance of an influence is the sum of two: that over bootstrap resamples of the test set's examples (drawn in
    64 random parts, the same for all corpora), and that of the mean over seeds (see ``seed_variance``), or of one seed
    (see ``growth_variance``). UnTrac-Inv
    reads the corpora, so that its examples are theirs, independent of each other's; what chance in the unlearned test
    set would have changed is not known.

    Args:
        rows: Readings, as a table or as rows.
        method: Which method.
        corpora: Order and choice of the corpora, see :func:`influence_matrix`.
        test_sets: The same for the test sets.
        num_resamples: Bootstrap resamples.
        seed: Of the resamples.

    Returns:
        The intervals; None where the method has neither several seeds nor losses by parts: gradient products, text
        overlap, and tables of earlier versions.

    Raises:
        ResultsError: If the table has no final readings of the method.
    """
    rows = rows if hasattr(rows, "to_pylist") else list(rows)
    matrix = influence_matrix(rows, method, corpora=corpora, test_sets=test_sets)
    records = [record for record in _final_rows(rows, method) if record["method"] == method and record["final"]]
    shape = matrix.values.shape
    low, high, p_zero = (np.full(shape, np.nan) for _ in range(3))
    p_equal = np.full((shape[1], shape[0], shape[0]), np.nan)
    sources, without_order = set[str](), False
    paths = paths_of(rows, method) if matrix.num_seeds == 1 and method_text(method).steady else {}
    readings_of: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for record in records:
        readings_of.setdefault(record["test_set"], {}).setdefault(record["corpus"], {})[record["seed"]] = record
    for column, test_set in enumerate(matrix.test_sets):
        by_corpus = readings_of.get(test_set, {})
        usable = np.flatnonzero(matrix.usable[:, column]).tolist()
        if not usable:
            continue
        # Where a run is not finished yet, chance is judged by the seeds that all have.
        shared = set.intersection(*(set(by_corpus[matrix.corpora[row]]) for row in usable))
        if not shared:
            continue
        readings = [[by_corpus[matrix.corpora[row]][s] for s in sorted(shared)] for row in usable]
        along = levels_of([paths.get((matrix.corpora[row], test_set), {}) for row in usable])
        spread = Spread(readings, matrix.unit == RELATIVE, num_resamples, seed, along)
        sources |= spread.sources
        stepped = any(record["step"] > 0 for of_corpus in readings for record in of_corpus)
        without_order |= stepped and len(shared) == 1 and "steps" not in spread.sources
        if spread.sources:
            cells, means = np.array(usable), matrix.values[usable, column]
            low[cells, column], high[cells, column], p_zero[cells, column] = spread.against_zero(means)
            p_equal[column][np.ix_(cells, cells)] = spread.against_each_other(means)
    if not sources:
        return None
    known = {f"from_{source}": source in sources for source in ("examples", "seeds", "steps")}
    return InfluenceIntervals(matrix, low, high, p_zero, p_equal, **known, order_unknown=without_order)


def _final_rows(rows: Any, method: str) -> list[dict[str, Any]]:
    """With their parts, of which a table is not to make millions of Python numbers."""
    if not hasattr(rows, "to_pylist"):
        return as_records(rows, parts=True)
    import pyarrow.compute as pc

    table = rows.filter(pc.and_(pc.equal(rows["method"], method), rows["final"]))
    records = as_records(table)
    for name in PARTS:
        column: Any = table[name].combine_chunks() if name in table.column_names else [None] * len(records)
        for cell, record in zip(column, records, strict=True):
            record[name] = None if cell is None or not cell.is_valid else cell.values.to_numpy(zero_copy_only=False)
    return records
