"""Whether unlearning lasts: how little quantisation changes a model, and whether it relearns like a retrained one.

Symmetric forms of Dorna et al.'s R and Q (OpenUnlearning, arXiv 2506.12618), as in the code of the unlearning depth
score: too much counts like too little, so that a model that forgets more when it is quantised is no more robust.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lightning_untrac.functional.harmonic_mean import harmonic_mean
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.functional.uncertainty import Floats

ALIKE: Final = 1.0
"""Of two numbers that are both 0: they are equal, and nothing was there to move."""


def likeness(first: Floats | float, second: Floats | float) -> Floats:
    """``1 - |a - b| / (|a| + |b|)``: 1 where two numbers are equal, 0 where one is 0 or their signs differ.

    Args:
        first: ``[...]``, a.
        second: ``[...]``, b.

    Returns:
        ``[...]`` float64 between 0 and 1; :data:`ALIKE` where both are 0, NaN where one is not finite.

    Example:
        >>> likeness(np.array([0.6, 0.0, 1.0]), np.array([0.4, 0.0, -1.0])).round(4).tolist()
        [0.8, 1.0, 0.0]
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    size = np.abs(a) + np.abs(b)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b) / np.where(size > 0, size, 1.0)
        found = np.where(size == 0, ALIKE, 1.0 - apart)
    return np.where(np.isfinite(a) & np.isfinite(b), found, np.nan)


def quantisation_robustness(before: Resampled, after: Resampled) -> Resampled:
    """Q: how little a measure changes when a model's weights are quantised; 1 for not at all.

    Args:
        before: the measure's mean of the model as it is.
        after: of the quantised one, on the same resamples.
    """
    return _likeness(after, before)


def relearning_robustness(unlearned: tuple[Resampled, Resampled], retrained: tuple[Resampled, Resampled]) -> Resampled:
    """R: how alike an unlearned model and a retrained one change by the same fine-tuning; 1 for just alike.

    Both having stood still gives 1: the unlearned model does what the retrained one does. Fine-tuning that teaches
    neither anything so says nothing of what was hidden; look at the changes beside.

    Args:
        unlearned: a measure's means before and after.
        retrained: of a model that never saw the forget set (or of several), on the same resamples.
    """
    (before, after), (control_before, control_after) = unlearned, retrained
    return _likeness(after.minus(before), control_after.minus(control_before))


def robustness(relearning: Resampled, quantisation: Resampled) -> Resampled:
    """``HM(R, Q)``: high only where both are.

    Args:
        relearning: R.
        quantisation: Q, on the same resamples.
    """
    drawn = harmonic_mean(np.stack([relearning.drawn, quantisation.drawn]))
    return Resampled(float(harmonic_mean(np.array([relearning.value, quantisation.value]))), drawn)


def _likeness(one: Resampled, other: Resampled) -> Resampled:
    return Resampled(float(likeness(one.value, other.value)), likeness(one.drawn, other.drawn))
