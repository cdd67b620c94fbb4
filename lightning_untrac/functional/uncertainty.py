"""How far chance moves influences, and which of several can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Variance(NamedTuple):
    """An estimated variance and its degrees of freedom (of Student's t).

    Attributes:
        value: the estimate.
        freedom: degrees of freedom; infinite where it is known exactly.
    """

    value: float
    freedom: float

    def __add__(self, other: Variance) -> Variance:  # type: ignore[override]
        """The variance of a sum of independent parts, with the degrees of freedom of Satterthwaite (1946)."""
        total = self.value + other.value
        below = sum(part.value**2 / part.freedom for part in (self, other) if part.value > 0)
        return Variance(total, total**2 / below if below > 0 else float("inf"))


class Variances(NamedTuple):
    """Many of them.

    Attributes:
        values: the estimates.
        freedoms: degrees of freedom of each.
    """

    values: Floats
    freedoms: Floats


def resampled_covariance(
    before: Floats, after: Floats, weights: Floats, *, relative: bool = False, num_resamples: int = 2000, seed: int = 0
) -> tuple[Floats, int]:
    """Covariance of influences over bootstrap resamples of the parts of a dataset (Efron 1979).

    All influences see the same resamples, so that what moves them together does not count between them. A part stands
    for its examples; the covariance is times G / (G - 1) for G parts that are not empty, which makes it unbiased.

    Args:
        before: ``[influences, parts]`` summed losses before.
        after: the same after.
        weights: ``[influences, parts]`` target tokens (or examples) under them.
        relative: the influence is (after - before) / (after + before) rather than the difference per weight.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        ``[influences, influences]``, and G, the fewest of any influence.

    Raises:
        ValueError: with fewer than two parts that are not empty, which say nothing about chance.

    Example:
        >>> import numpy as np
        >>> sums, ones = np.array([[1.0, 2.0, 3.0, 4.0]]), np.ones((1, 4))
        >>> covariance, parts = resampled_covariance(0 * sums, sums, ones, num_resamples=20000)
        >>> round(covariance.item(), 1), round(float(np.var([1, 2, 3, 4], ddof=1)) / 4, 1), parts
        (0.4, 0.4, 4)
    """
    filled = weights > 0
    num_parts = int(filled.sum(axis=1).min())
    if num_parts < 2:
        raise ValueError(f"an influence has {num_parts} parts with examples; a variance needs at least 2")
    used = filled.any(axis=0)
    before, after, weights = before[:, used], after[:, used], weights[:, used]
    count = before.shape[1]
    draws = resamples(count, num_resamples, seed)
    low, high = draws @ before.T, draws @ after.T
    with np.errstate(all="ignore"):  # a resample may hold no example of an influence; it is left out
        drawn = (high - low) / (high + low if relative else draws @ weights.T)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    return np.atleast_2d(np.cov(drawn, rowvar=False)) * num_parts / (num_parts - 1), num_parts


@lru_cache(maxsize=16)
def resamples(count: int, num_resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each part is in each resample; the same numbers serve every dataset with as many parts."""
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=num_resamples)
    draws.flags.writeable = False
    return draws


def added(one: Variances, other: Variances) -> Variances:
    """The variances of sums of independent parts: :class:`Variance`'s own addition for many at once."""
    total = one.values + other.values
    below = np.zeros_like(total)
    for part in (one, other):
        below += np.where(part.values > 0, part.values**2 / part.freedoms, 0.0)
    freedoms = np.divide(total**2, below, out=np.full_like(total, np.inf), where=below > 0)
    return Variances(total, freedoms)


def seed_variances(values: Floats) -> Variances:
    """:func:`seed_variance` of every row, on the diagonal, and of every pair of rows beside it.

    Args:
        values: ``[rows, seeds]``, at least two seeds.

    Returns:
        ``[rows, rows]``.

    Example:
        >>> import numpy as np
        >>> seed_variances(np.array([[1.0, 2.0], [3.0, 4.0]])).values.round(2).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
    """
    rows, seeds = values.shape
    asked = values[:, None] - values[None]
    asked[np.arange(rows), np.arange(rows)] = values
    own = asked.var(axis=2, ddof=1) / seeds
    if rows == 1:
        return Variances(own, np.full_like(own, seeds - 1))
    of_one, of_two = _pooled(values, True), _pooled(values, False)
    alone = np.eye(rows, dtype=bool)
    pooled = np.where(alone, of_one.value, of_two.value)
    takes_own = (own > pooled) if seeds > 2 else np.zeros_like(alone)
    freedoms = np.where(takes_own, seeds - 1, np.where(alone, of_one.freedom, of_two.freedom))
    return Variances(np.where(takes_own, own, pooled), freedoms)


def seed_variance(values: Floats, one: int, other: int) -> Variance:
    """Variance of a row's mean over seeds (``one == other``), or of the difference between the means of two rows.

    Two seeds of six rows say more about chance than two numbers, so the rows are pooled, with the luck that a seed
    gives all of them alike set apart: ``x_ks = m_k + b_s + e_ks``. Some rows may move more than others, though, and
    from three seeds on a row's own variance counts where it is the larger.

    Args:
        values: ``[rows, seeds]``, at least two seeds.
        one: index of a row.
        other: index of a row.

    Returns:
        The variance; the part ``b_s`` leaves differences alone.

    Example:
        >>> import numpy as np
        >>> seed_variance(np.array([[1.0, 2.0], [3.0, 4.0]]), 0, 1).value  # a seed moves both rows alike
        0.0
    """
    rows, seeds = values.shape
    asked = values[one] if one == other else values[one] - values[other]
    own = Variance(float(asked.var(ddof=1)) / seeds, seeds - 1)
    pooled = _pooled(values, one == other)
    return own if rows == 1 or (seeds > 2 and own.value > pooled.value) else pooled


def _pooled(values: Floats, of_one: bool) -> Variance:
    rows, seeds = values.shape
    if rows == 1:
        return Variance(0.0, float("inf"))
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (rows - 1) * (seeds - 1)
    own = float((rest**2).sum()) / freedom / seeds
    if not of_one:
        return Variance(2 * own, freedom)
    common = Variance(float(values.mean(axis=0).var(ddof=1)) / seeds, seeds - 1)
    return common + Variance(own * (1 - 1 / rows), freedom)


def growth_variance(levels: Floats) -> Variance:
    """Variance of where the rows of one run end, from how unevenly they get there.

    A run is cut into stretches of equal length. Without noise rows grow at one pace, ``x_kq = b_q + g_q m_k``, with
    ``m_k`` the mean of a row's increments (a bundle of straight lines, Mandel 1961); what is left is the noise of a
    stretch, and the end is the sum of the stretches. That is exact where the noise of stretches is independent. Where
    later steps forget what earlier ones did by chance, and where rows have paces of their own, it is too large.

    Args:
        levels: ``[rows, stretches]`` values at the end of each stretch; they begin at 0.

    Returns:
        The variance of a row's end, with (rows - 2) (stretches - 1) degrees of freedom. What moves all rows alike is
        not in it.

    Raises:
        ValueError: with fewer than three rows or two stretches, which leave nothing to judge by.

    Example:
        >>> import numpy as np
        >>> round(growth_variance(np.outer([1.0, 2.0, 4.0], [0.4, 0.7, 1.0])).value, 12)  # one pace: no noise
        0.0
    """
    rows, stretches = levels.shape
    if rows < 3 or stretches < 2:
        raise ValueError(f"levels of {rows} rows in {stretches} stretches; expected at least 3 rows and 2 stretches")
    increments = np.diff(levels, axis=1, prepend=0.0)
    rest = increments - increments.mean(axis=0)
    ends = rest.mean(axis=1)
    if (squared := float(ends @ ends)) > 0:
        rest = rest - np.outer(ends, ends @ rest / squared)
    freedom = (rows - 2) * (stretches - 1)
    return Variance(stretches * float((rest**2).sum()) / freedom, freedom)


def holm(p_values: Floats) -> Floats:
    """p-values adjusted so that the chance of any false claim among all of them stays below the level (Holm 1979).

    Args:
        p_values: one dimension.

    Returns:
        The same shape, each at least as large as it was.

    Example:
        >>> import numpy as np
        >>> holm(np.array([0.04, 0.01, 0.03])).round(2).tolist()
        [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def shared_letters(differs: npt.NDArray[np.bool_], order: Sequence[int]) -> list[str]:
    """Letters such that two things share one exactly if they cannot be told apart (insert and absorb, Piepho 2004).

    Args:
        differs: ``[n, n]``, symmetric: which pairs can be told apart.
        order: the things from first to last; earlier ones get earlier letters.

    Returns:
        n strings of letters.

    Example:
        >>> import numpy as np
        >>> apart = np.zeros((3, 3), dtype=bool)
        >>> apart[0, 2] = apart[2, 0] = True
        >>> shared_letters(apart, [0, 1, 2])
        ['a', 'ab', 'b']
    """
    groups: list[frozenset[int]] = [frozenset(order)]
    for one, other in zip(*np.nonzero(np.triu(differs)), strict=True):
        split = [group for group in groups if one in group and other in group]
        groups = [group for group in groups if group not in split]
        groups += [group - {int(left_out)} for group in split for left_out in (one, other)]
        groups = list(dict.fromkeys(groups))
        groups = [group for group in groups if not any(group < bigger for bigger in groups)]
    place = {thing: rank for rank, thing in enumerate(order)}
    groups.sort(key=lambda group: sorted(place[thing] for thing in group))
    return ["".join(_letter(i) for i, group in enumerate(groups) if thing in group) for thing in range(len(differs))]


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"({index})"
