"""F1 of a classifier, and how it would have come out on other examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightning_untrac.functional.resampled import NUM_RESAMPLES, Resampled, resampled_means
from lightning_untrac.functional.uncertainty import Floats


def macro_f1(
    predicted: Sequence[Floats], targets: Sequence[Floats], num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> list[Resampled]:
    """Mean over classes of the F1 of each of M models, over the same bootstrap resamples of examples.

    F1 of a class is ``2 TP / (2 TP + FP + FN)``: a mean over the examples that are, or are said to be, of the class, in
    which a wrong one counts half. So it is resampled as any other mean. A class that a model neither meets nor names is
    left out of its mean, as torchmetrics and scikit-learn do.

    Args:
        predicted: ``[M, E]`` the class that each model names, for each dataset.
        targets: ``[E]`` the right one, alike; NaN does not count.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        One a model; NaN where nothing counts.

    Example:
        >>> said = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]])
        >>> [round(one.value, 4) for one in macro_f1([said], [np.array([0.0, 1.0, 1.0, 1.0])])]
        [0.7333, 1.0]
    """
    known = [~np.isnan(one) for one in targets]
    classes = sorted({*np.concatenate([one[kept] for one, kept in zip(targets, known, strict=True)]).tolist()} | {
        *np.concatenate([one[:, kept].ravel() for one, kept in zip(predicted, known, strict=True)]).tolist()
    })  # fmt: skip
    if not classes:
        return [Resampled(float("nan"), np.empty(0)) for _ in predicted[0]]
    hits, weights = [], []
    for said, right, kept in zip(predicted, targets, known, strict=True):
        is_right = np.array([right == one for one in classes])[:, None] & kept
        is_said = np.stack([said == one for one in classes]) & kept
        both = is_right & is_said  # [classes, M, E]
        shape = (-1, said.shape[1])
        hits.append(both.reshape(shape).astype(np.float64))
        weights.append(((is_right ^ is_said) * 0.5 + both).reshape(shape).astype(np.float64))
    means = resampled_means(hits, weights, num_resamples, seed)
    models = len(predicted[0])
    return [_mean_over([means[place * models + model] for place in range(len(classes))]) for model in range(models)]


def _mean_over(classes: Sequence[Resampled]) -> Resampled:
    """The mean over those classes that are known."""
    known = [one for one in classes if not np.isnan(one.value)]
    if not known:
        return Resampled(float("nan"), np.empty(0))
    drawn = np.stack([one.drawn for one in known])
    there = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        resampled = np.where(there, drawn, 0).sum(axis=0) / there.sum(axis=0)
    return Resampled(float(np.mean([one.value for one in known])), resampled)
