"""A random part of a dataset, to unlearn with in place of the whole."""

from __future__ import annotations

import numpy as np

from lightning_untrac.data.loading import Examples
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.functional.relearning import disjoint_part


def coreset(part: Examples, share: float | None, seed: int) -> np.ndarray | None:
    """Indices of a random share of a dataset: of whole groups where it names groups, or else of distinct texts.

    Packed blocks are drawn by themselves: a text that is cut at the end of one begins the next.

    Args:
        part: examples, or blocks.
        share: above 0 and below 1; at least one is drawn. None for all.
        seed: of the draw.

    Returns:
        Ascending indices; None for all of them, as where there is only one to draw.
    """
    if share is None:
        return None
    groups = [str(index) for index in range(len(part))]
    if isinstance(part, TokenizedDataset):
        marked = part.marks.groups
        groups = list(map(str, marked)) if marked is not None else [part.content_hash(row) for row in range(len(part))]
    return np.array(disjoint_part(groups, share, seed), dtype=np.int64) if len(set(groups)) > 1 else None
