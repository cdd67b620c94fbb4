"""What is to be said of texts that are too short for a share of their tokens."""

from __future__ import annotations

from typing import Final

import numpy as np

FEW_TOKENS: Final = 2
"""With fewer target tokens a share of them says little."""


def short_texts_note(name: str, targets: np.ndarray) -> str | None:
    """That texts of a dataset have too few target tokens, with how many; None where none has.

    Args:
        name: of the dataset.
        targets: ``[examples]`` target tokens of each; examples without any are not counted.

    Example:
        >>> print(short_texts_note("words", np.array([5, 1, 0])))
        1 of 2 texts of words has fewer than 2 target tokens: a share of its tokens is 0 or 1, and says little
        >>> short_texts_note("words", np.array([5, 2]))
    """
    counts = targets[targets > 0]
    short = int((counts < FEW_TOKENS).sum())
    if not short:
        return None
    have, their = ("has", "its") if short == 1 else ("have", "their")
    return (
        f"{short} of {len(counts)} texts of {name} {have} fewer than {FEW_TOKENS} target tokens: a share of {their} "
        "tokens is 0 or 1, and says little"
    )
