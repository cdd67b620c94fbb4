"""Examples of a dataset in a fixed number of random parts, so that what chance would do to a sum can be told later."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_untrac.functional.mixing import STEP, finalised

NUM_PARTS = 64
"""Parts that a reading's losses are kept in: enough that a standard error drawn from them is known to about 9 %."""


def part_of(example_index: Tensor, num_parts: int = NUM_PARTS) -> Tensor:
    """The part that an example belongs to: as if drawn at random, and the same at every reading of every episode.

    An index is mixed by SplitMix64 (:mod:`lightning_untrac.functional.mixing`), so that neither the order of a
    dataset nor a period in it makes parts alike or unlike. A part holds about ``n / num_parts`` of n examples; of a
    dataset of fewer examples than parts, most hold one or none.

    Args:
        example_index: any shape, int64.
        num_parts: a power of two.

    Returns:
        The same shape, int64 in ``[0, num_parts)``.

    Raises:
        ValueError: if the number of parts is no power of two.

    Example:
        >>> part_of(torch.arange(6), num_parts=4).tolist()
        [3, 0, 3, 0, 3, 2]
    """
    if num_parts < 1 or num_parts & (num_parts - 1):
        raise ValueError(f"part_of(num_parts={num_parts}): give a power of two, e.g. {NUM_PARTS}")
    return finalised((example_index + 1) * STEP) & (num_parts - 1)


def membership(size: int) -> npt.NDArray[np.float64]:
    """Which part each example of a dataset belongs to, for sums over parts by a product.

    Args:
        size: examples.

    Returns:
        ``[size, parts]``, 1 where an example is in a part and else 0; parts that hold none are left out.

    Example:
        >>> import numpy as np
        >>> belongs = membership(1000)
        >>> belongs.shape, bool((belongs.sum(axis=1) == 1).all())
        ((1000, 64), True)
    """
    belongs = part_of(torch.arange(size)).numpy()[:, None] == np.arange(NUM_PARTS)
    return belongs[:, belongs.any(axis=0)].astype(np.float64)
