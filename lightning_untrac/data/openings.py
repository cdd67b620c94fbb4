"""Where a model is to go on from in an example: its prompt, or how its text begins."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional import IGNORE_INDEX


def opening_of(ids: np.ndarray, labels: np.ndarray, prefix: int, apart: bool) -> list[int]:
    """The token ids that a model is given of an example, so that it writes the rest itself.

    Where the data name a prompt it is the prompt. Of a text it is what stands before the first target and the first
    targets, ``prefix`` of them, or half of them where there are fewer than twice as many: no text is given whole.

    Args:
        ids: ``[length]`` of the text, or of an encoder-decoder's source.
        labels: aligned with them, -100 where no target; of an encoder-decoder the target's.
        prefix: most targets of a text that are given.
        apart: whether it is an encoder-decoder's, whose source is given whole.

    Returns:
        Token ids; none where there is nothing to go on to, or nothing to begin from.

    Example:
        >>> text, asked = np.array([1, 5, 6, 7, 8]), np.array([-100, -100, -100, 7, 8])
        >>> opening_of(text, text, 1, False), opening_of(text, text, 9, False), opening_of(text, asked, 1, False)
        ([1, 5], [1, 5, 6], [1, 5, 6])
    """
    if apart:
        return [int(one) for one in ids] if (labels != IGNORE_INDEX).any() else []
    targets = np.flatnonzero(labels[1:] != IGNORE_INDEX) + 1
    if not len(targets):
        return []
    given = 0 if targets[0] > 1 else min(prefix, len(targets) // 2)
    return [int(one) for one in ids[: targets[given]]]
