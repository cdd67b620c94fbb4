"""How far chance moves the influences on one test set: variances, intervals and tests."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import (
    Variances,
    added,
    growth_variance,
    resampled_covariance,
    seed_variances,
)
from lightning_untrac.tables.schema import PARTS

LEVEL: Final = 0.95


class Spread:
    """Variances of the influences on one test set, and the tests that follow from them.

    Args:
        readings: Final rows, a list a corpus with a row a seed.
        relative: Whether the unit is that of relative influences.
        num_resamples: Bootstrap resamples of the examples.
        seed: Of the resamples.
        levels: Of a single seed, influences along its steps ``[corpora, stretches]``, from which the noise of the order
            of batches is told; None where that is not possible.
    """

    def __init__(
        self,
        readings: list[list[dict[str, Any]]],
        relative: bool,
        num_resamples: int,
        seed: int,
        levels: npt.NDArray[np.float64] | None = None,
    ) -> None:
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
        if num_seeds == 1 and levels is not None:
            self.sources.add("steps")
            # Two influences differ by the noise of two episodes; one has its own episode's and that of the control.
            value, freedom = growth_variance(levels)
            shape = (count, count)
            self._variances = added(Variances(np.full(shape, 2 * value), np.full(shape, freedom)), self._variances)

    def _resample(self) -> bool:
        """Fill in the variances over examples: on the diagonal of each influence, beside it of each difference."""
        if self._options["num_resamples"] < 1:
            return False
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
        """Lower and upper ends of the intervals, and adjusted p-values of no influence."""
        from scipy.stats import t

        from lightning_untrac.functional.uncertainty import holm

        errors, freedoms = np.sqrt(np.diag(self._variances.values)), np.diag(self._variances.freedoms)
        half = t.ppf((1 + LEVEL) / 2, freedoms) * errors
        return means - half, means + half, holm(_p_values(means, errors, freedoms))

    def against_each_other(self, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Adjusted p-values of two influences being equal ``[corpora, corpora]``."""
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
