"""An interval on every influence, and which corpora can be told apart: from zero and from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Variances, added, resampled_covariance, seed_variances
from lightning_untrac.results.matrix import InfluenceMatrix, as_records, influence_matrix
from lightning_untrac.results.schema import PARTS, RELATIVE, InfluenceRow

if TYPE_CHECKING:
    import pyarrow as pa

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
    64 random parts, the same for all corpora), and that of the mean over seeds (see ``seed_variance``). UnTrac-Inv
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
    sources = set[str]()
    for column, test_set in enumerate(matrix.test_sets):
        by_corpus: dict[str, dict[int, dict[str, Any]]] = {}
        for record in records:
            if record["test_set"] == test_set:
                by_corpus.setdefault(record["corpus"], {})[record["seed"]] = record
        usable = np.flatnonzero(matrix.usable[:, column]).tolist()
        if not usable:
            continue
        # Where a run is not finished yet, chance is judged by the seeds that all have.
        shared = set.intersection(*(set(by_corpus[matrix.corpora[row]]) for row in usable))
        if not shared:
            continue
        readings = [[by_corpus[matrix.corpora[row]][s] for s in sorted(shared)] for row in usable]
        spread = _Spread(readings, matrix.unit == RELATIVE, num_resamples, seed)
        sources |= spread.sources
        if spread.sources:
            cells, means = np.array(usable), matrix.values[usable, column]
            low[cells, column], high[cells, column], p_zero[cells, column] = spread.against_zero(means)
            p_equal[column][np.ix_(cells, cells)] = spread.against_each_other(means)
    if not sources:
        return None
    return InfluenceIntervals(matrix, low, high, p_zero, p_equal, "examples" in sources, "seeds" in sources)


def _final_rows(rows: Any, method: str) -> list[dict[str, Any]]:
    """With their parts, of which a table is not to make millions of Python numbers for other methods."""
    if hasattr(rows, "to_pylist"):
        import pyarrow.compute as pc

        rows = rows.filter(pc.and_(pc.equal(rows["method"], method), rows["final"]))
    return as_records(rows, parts=True)


class _Spread:
    """Variances of the influences on one test set, and the tests that follow from them."""

    def __init__(self, readings: list[list[dict[str, Any]]], relative: bool, num_resamples: int, seed: int) -> None:
        self._readings = readings
        self._options: dict[str, Any] = {"relative": relative, "num_resamples": num_resamples, "seed": seed}
        self.values = np.array([[record["influence"] for record in of_corpus] for of_corpus in readings])
        count, num_seeds = self.values.shape
        self._variances = Variances(np.zeros((count, count)), np.full((count, count), np.inf))
        self.sources = set[str]()
        if self._resample():
            self.sources.add("examples")
        # Seeds that change nothing, without anything else, are no knowledge of chance.
        if num_seeds > 1 and (self.sources or np.ptp(self.values, axis=1).any()):
            self.sources.add("seeds")
            self._variances = added(seed_variances(self.values), self._variances)

    def _resample(self) -> bool:
        """Fill in the variances over examples: on the diagonal of each influence, beside it of each difference."""
        if any(record.get(name) is None for of_corpus in self._readings for record in of_corpus for name in PARTS):
            return False
        # Seeds measure the same examples: their mean is a function of sums over seeds.
        before, after, weights = (
            np.array([[record[name] for record in of_corpus] for of_corpus in self._readings]).sum(axis=1)
            for name in PARTS
        )
        if (weights > 0).sum(axis=1).min() < 2:
            return False
        if (before == before[0]).all() and (weights == weights[0]).all():  # one test set, and not a corpus each
            covariance, parts = resampled_covariance(before, after, weights, **self._options)
            alone = np.diag(covariance)
            values = np.maximum(alone[:, None] + alone[None] - 2 * covariance, 0.0)
            np.fill_diagonal(values, np.maximum(alone, 0.0))
            self._variances = Variances(values, np.full_like(values, parts - 1))
            return True
        found = [
            resampled_covariance(before[row], after[row], weights[row], **self._options)
            for row in (slice(i, i + 1) for i in range(len(self._readings)))
        ]
        own = np.array([covariance.item() for covariance, _ in found])
        freedom = np.array([parts - 1.0 for _, parts in found])
        shape = (len(own), len(own))
        one = Variances(np.broadcast_to(own[:, None], shape), np.broadcast_to(freedom[:, None], shape))
        values, freedoms = added(one, Variances(one.values.T, one.freedoms.T))
        np.fill_diagonal(values, own)
        np.fill_diagonal(freedoms, freedom)
        self._variances = Variances(values, freedoms)
        return True

    def against_zero(
        self, means: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        from scipy.stats import t

        from lightning_untrac.functional.uncertainty import holm

        errors, freedoms = np.sqrt(np.diag(self._variances.values)), np.diag(self._variances.freedoms)
        half = t.ppf((1 + LEVEL) / 2, freedoms) * errors
        return means - half, means + half, holm(_p_values(means, errors, freedoms))

    def against_each_other(self, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        from lightning_untrac.functional.uncertainty import holm

        adjusted = np.ones((len(means), len(means)))
        if len(means) > 1:
            one, other = np.triu_indices(len(means), 1)
            errors, freedoms = np.sqrt(self._variances.values[one, other]), self._variances.freedoms[one, other]
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
