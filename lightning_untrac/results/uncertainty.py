"""An interval on every influence, and which corpora can be told apart: from zero and from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.matrix import InfluenceMatrix, as_records, influence_matrix
from lightning_untrac.results.schema import PARTS, RELATIVE, InfluenceRow

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.functional.uncertainty import Variance

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class InfluenceIntervals:
    """How far chance moves the influences of one method.

    Chance is two things: which examples the test set happens to hold, and the seeds (the order of batches). A method
    may have either or both. Which corpora a model was trained on, and its own training, are not part of it.

    Args:
        matrix: The influences, mean over seeds.
        low: Lower end of each 95 % interval (Student's t) ``[K, M]``; NaN where there is none.
        high: Upper end.
        p_zero: p-values of "no influence at all" ``[K, M]``, adjusted over the corpora of a test set (Holm).
        p_equal: p-values of "these two are equal" ``[M, K, K]``, adjusted over the pairs of a test set (Holm).
        from_examples: Whether chance in the examples is in them.
        from_seeds: Whether chance in the seeds is in them.
    """

    matrix: InfluenceMatrix
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    p_zero: npt.NDArray[np.float64]
    p_equal: npt.NDArray[np.float64]
    from_examples: bool
    from_seeds: bool

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

    def letters(self, test_set: str) -> dict[str, str]:
        """Letters for the corpora of a test set: two share one exactly if they cannot be told apart."""
        from lightning_untrac.functional.uncertainty import shared_letters

        column = self.matrix.test_sets.index(test_set)
        ranked = self._ranked(column)
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
    64 random parts, the same for all corpora), and that of the mean over seeds (pooled over the corpora of a test set).
    UnTrac-Inv reads the corpora, so that its examples are theirs.

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
    records = [record for record in as_records(rows, parts=True) if record["method"] == method and record["final"]]
    shape = matrix.values.shape
    low, high, p_zero = (np.full(shape, np.nan) for _ in range(3))
    p_equal = np.full((shape[1], shape[0], shape[0]), np.nan)
    sources = set[str]()
    for column, test_set in enumerate(matrix.test_sets):
        by_corpus: dict[str, dict[int, dict[str, Any]]] = {}
        for record in records:
            if record["test_set"] == test_set:
                by_corpus.setdefault(record["corpus"], {})[record["seed"]] = record
        all_seeds = set(matrix.seeds)
        whole = [  # a mean over fewer seeds than the others has another variance
            row
            for row, corpus in enumerate(matrix.corpora)
            if matrix.usable[row, column] and by_corpus.get(corpus, {}).keys() == all_seeds
        ]
        if not whole:
            continue
        readings = [[by_corpus[matrix.corpora[row]][s] for s in matrix.seeds] for row in whole]
        spread = _Spread(readings, matrix.unit == RELATIVE, num_resamples, seed)
        sources |= spread.sources
        if spread.sources:
            cells = np.array(whole)
            low[cells, column], high[cells, column], p_zero[cells, column] = spread.against_zero()
            p_equal[column][np.ix_(cells, cells)] = spread.against_each_other()
    if not sources:
        return None
    return InfluenceIntervals(matrix, low, high, p_zero, p_equal, "examples" in sources, "seeds" in sources)


class _Spread:
    """Variances of the influences on one test set, and the tests that follow from them."""

    def __init__(self, readings: list[list[dict[str, Any]]], relative: bool, num_resamples: int, seed: int) -> None:
        from lightning_untrac.functional.uncertainty import Variance, resampled_covariance, seed_variances

        self.values = np.array([[record["influence"] for record in of_corpus] for of_corpus in readings])
        self.sources = set[str]()
        count, num_seeds = self.values.shape
        zero = Variance(0.0, float("inf"))
        self._seeds = (zero, zero)
        if num_seeds > 1:
            self._seeds = seed_variances(self.values)
            self.sources.add("seeds")
        self._covariance, self._freedom = np.zeros((count, count)), float("inf")
        if all(record.get(name) is not None for of_corpus in readings for record in of_corpus for name in PARTS):
            # Seeds measure the same examples: their mean is a function of sums over seeds.
            before, after, weights = (
                np.array([[record[name] for record in of_corpus] for of_corpus in readings]).sum(axis=1)
                for name in PARTS
            )
            if (weights > 0).sum(axis=1).min() > 1:
                self._covariance, parts = resampled_covariance(
                    before, after, weights, relative=relative, num_resamples=num_resamples, seed=seed
                )
                self._freedom = parts - 1
                self.sources.add("examples")

    def _deviation(self, of_seeds: Variance, of_examples: float) -> tuple[float, float]:
        """Standard error and degrees of freedom."""
        from lightning_untrac.functional.uncertainty import Variance

        value, freedom = of_seeds + Variance(max(of_examples, 0.0), self._freedom)
        return float(np.sqrt(value)), freedom

    def against_zero(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        from scipy.stats import t

        from lightning_untrac.functional.uncertainty import holm

        means = self.values.mean(axis=1)
        found = [self._deviation(self._seeds[0], variance) for variance in np.diag(self._covariance)]
        errors, freedoms = (np.array(one) for one in zip(*found, strict=True))
        half = t.ppf((1 + LEVEL) / 2, freedoms) * errors
        return means - half, means + half, holm(_p_values(means, errors, freedoms))

    def against_each_other(self) -> npt.NDArray[np.float64]:
        from lightning_untrac.functional.uncertainty import holm

        means, count = self.values.mean(axis=1), len(self.values)
        adjusted = np.ones((count, count))
        if count < 2:
            return adjusted
        one, other = np.triu_indices(count, 1)
        variances = np.diag(self._covariance)
        between = variances[one] + variances[other] - 2 * self._covariance[one, other]
        found = [self._deviation(self._seeds[1], variance) for variance in between]
        errors, freedoms = (np.array(part) for part in zip(*found, strict=True))
        adjusted[one, other] = adjusted[other, one] = holm(_p_values(means[one] - means[other], errors, freedoms))
        return adjusted


def _p_values(
    values: npt.NDArray[np.float64], errors: npt.NDArray[np.float64], freedoms: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Two-sided, of Student's t; without any spread only exactly equal things are equal."""
    from scipy.stats import t

    ratio = np.divide(np.abs(values), errors, out=np.where(values == 0, 0.0, np.inf), where=errors > 0)
    found: npt.NDArray[np.float64] = 2 * t.sf(ratio, freedoms)
    return found
