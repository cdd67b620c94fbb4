"""What the colours of influences say, in pictures and on the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.chance import sign_title
from lightning_untrac.results.judged import JudgedModel
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_text
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE

RETRAINED_COLOUR: Final = MUTED
"""Of retrained models, and of the noise between them, in every picture of a judgement."""


def model_colours(models: Sequence[JudgedModel]) -> dict[str, str]:
    """A colour for each model of a judgement, by its path; of many unlearned ones the later are grey.

    Args:
        models: as the judgement has them, so that a model has one colour in all of its pictures.
    """
    unlearned = [one.model for one in models if not one.is_original]
    colours = {path: PALETTE[place] if place < len(PALETTE) - 2 else GREY for place, path in enumerate(unlearned)}
    return {**{one.model: INK for one in models if one.is_original}, **colours}


def colours_title(matrix: InfluenceMatrix) -> str:
    """What red and blue say."""
    if method_text(matrix.method).signed:
        return "red: {}, blue: {}".format(*sign_title(matrix))
    return "red: above the mean of its column, blue: below it (not: works against)"


def colour_shares(matrix: InfluenceMatrix) -> npt.NDArray[np.float64]:
    """How strongly each cell is coloured, per column: from -1 (blue) to 1 (red).

    Where the sign of a single influence says nothing, because all of a column are shifted together, colours start at
    the mean of the column.

    Args:
        matrix: K corpora x M test sets.

    Returns:
        ``[K, M]``; 0 for cells that are flagged.
    """
    values = np.where(matrix.usable, matrix.values, np.nan)
    if not method_text(matrix.method).signed:
        counts = np.maximum(matrix.usable.sum(0), 1)
        values = values - np.nansum(values, axis=0) / counts
    values = np.nan_to_num(values)
    largest = np.abs(values).max(0, keepdims=True, initial=0.0)
    shares: npt.NDArray[np.float64] = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    return shares
