"""Which texts a step of selective gradient ascent takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Floats


def selected(accuracies: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """The texts that are memorised to at least a threshold; where none is, the most memorised one.

    Selective gradient ascent, as the code of Barbulescu and Triantafillou 2024 (arXiv 2405.03097) selects. Of equally
    memorised texts the first one is the most memorised.

    Args:
        accuracies: ``[texts]``, the memorisation accuracy of each; those that are NaN are never taken.
        threshold: gamma, a share of tokens.

    Returns:
        ``[texts]``; all False where no accuracy is a number.

    Example:
        >>> selected(np.array([0.9, 0.65, 0.4, 0.72]), 0.7).tolist()
        [True, False, False, True]
        >>> selected(np.array([0.5, 0.65, 0.4, 0.2]), 0.7).tolist()
        [False, True, False, False]
    """
    known = np.isfinite(accuracies)
    taken = np.greater_equal(accuracies, threshold, where=known, out=np.zeros(len(accuracies), dtype=bool))
    if known.any() and not taken.any():
        taken[int(np.argmax(np.where(known, accuracies, -np.inf)))] = True
    return taken
