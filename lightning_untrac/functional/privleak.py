"""How far a membership attack is from what it finds of a retrained model, in the orientation of MUSE."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional.resampled import Resampled


def privleak(auc: Resampled, retrained: Resampled) -> Resampled:
    """``((1 - AUC) - (1 - AUC_r)) / (1 - AUC_r) * 100``, in percent (Shi et al. 2024, MUSE).

    Here an AUC is the chance that a forgotten sequence looks more like a member than another one; MUSE writes one minus
    it. So 0 is as the retrained model, **below 0 the set was unlearned too little**, above 0 too much.

    Args:
        auc: of the model.
        retrained: of models that never saw the forget set, over the same resamples.

    Example:
        >>> none = np.empty(0)
        >>> round(privleak(Resampled(0.8125, none), Resampled(0.55, none)).value, 2)
        -58.33
    """
    with np.errstate(all="ignore"):
        value = 100 * (np.float64(retrained.value) - auc.value) / (1 - np.float64(retrained.value))
        drawn = 100 * (retrained.drawn - auc.drawn) / (1 - retrained.drawn)
    return Resampled(float(value), drawn)
