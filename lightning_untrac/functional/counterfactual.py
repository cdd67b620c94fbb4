"""What models that saw a sequence know of it beyond those that did not, and how hard it is for these."""

from __future__ import annotations

from lightning_untrac.functional.uncertainty import Floats


def counterfactual_memorisation(seen: Floats, never_seen: Floats) -> Floats:
    """``E[M | trained with x] - E[M | trained without x]`` of each sequence x (Feldman 2020; Zhang et al. 2021).

    M is the share of tokens that a model chooses first, given the true ones before them. Published means are over
    hundreds of models on random halves of the data; here they are over whatever models there are, and of an unlearned
    model it is what is left.

    Args:
        seen: ``[K, sequences]`` values of M under models that were trained with x.
        never_seen: ``[R, sequences]`` under models that were trained without it.

    Returns:
        ``[sequences]`` between -1 and 1.

    Example:
        >>> import numpy as np
        >>> counterfactual_memorisation(np.array([[1.0, 0.5]]), np.array([[0.5, 0.5], [0.25, 0.5]])).tolist()
        [0.625, 0.0]
    """
    found: Floats = seen.mean(axis=0) - never_seen.mean(axis=0)
    return found


def difficulty(never_seen: Floats) -> Floats:
    """Mean loss of each sequence under models that never saw it, in nats per token.

    Our reading of "difficulty" (Baluta et al. 2024, whose text could not be had).

    Args:
        never_seen: ``[R, sequences]`` mean losses per token.

    Example:
        >>> import numpy as np
        >>> difficulty(np.array([[1.0, 4.0], [2.0, 6.0]])).tolist()
        [1.5, 5.0]
    """
    found: Floats = never_seen.mean(axis=0)
    return found


def mean_square(norms: Floats) -> Floats:
    """Mean of squares over models, such as of gradient norms along a training.

    Args:
        norms: ``[T, sequences]``, one row a model.

    Example:
        >>> import numpy as np
        >>> mean_square(np.array([[1.0, 0.0], [3.0, 2.0]])).tolist()
        [5.0, 2.0]
    """
    found: Floats = (norms**2).mean(axis=0)
    return found
