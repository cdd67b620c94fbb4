"""How alike two texts are by the n-grams that they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ngram_frequencies(documents: Sequence[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative frequency of every n-gram; none goes across two documents.

    Args:
        documents: token ids at least 0, ``[length]`` each.
        n: tokens of an n-gram.

    Returns:
        ``keys`` (sorted int64, one a distinct n-gram, comparable between calls with the same ``n``) and
        ``frequencies`` (float64, their sum is 1; both are empty where no document has ``n`` tokens).

    Raises:
        ValueError: for a token id too large for ``n`` of them to fit one key.

    Example:
        >>> ngram_frequencies([np.array([1, 1, 1]), np.array([1, 2])], 2)[1].tolist()
        [0.6666666666666666, 0.3333333333333333]
    """
    bits = 63 // n
    parts = [np.empty(0, dtype=np.int64)]
    for document in documents:
        tokens = np.asarray(document, dtype=np.int64)
        if tokens.size and (tokens.min() < 0 or tokens.max() >= 1 << bits):
            raise ValueError(
                f"token ids of {n}-grams must lie in [0, {1 << bits}), but they go from {tokens.min()} to "
                f"{tokens.max()}; use shorter n-grams"
            )
        count = len(tokens) - n + 1
        if count > 0:
            keys = np.zeros(count, dtype=np.int64)
            for place in range(n):
                keys = (keys << bits) | tokens[place : place + count]
            parts.append(keys)
    keys, counts = np.unique(np.concatenate(parts), return_counts=True)
    return keys, counts / max(1, counts.sum())


def bhattacharyya(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> float:
    """Cosine of the square roots of two frequency tables: 1 where they are equal, 0 where they share nothing.

    Args:
        left: keys and frequencies, see :func:`ngram_frequencies`.
        right: the same of the other text.

    Example:
        >>> one = ngram_frequencies([np.array([1, 2])], 1)
        >>> round(bhattacharyya(one, ngram_frequencies([np.array([2, 3])], 1)), 6)
        0.5
    """
    _, at_left, at_right = np.intersect1d(left[0], right[0], assume_unique=True, return_indices=True)
    return float(np.sqrt(left[1][at_left] * right[1][at_right]).sum())
