"""From two losses to one influence.

Positive always means: the corpus helps the model produce the test set. UnTrac, UnTrac-Inv and leave-out share this
sign. (The paper's eq. 1 prints leave-out with the opposite sign of its own tables; see ``attribution/leave_out.py``.)
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Tensor

Readout = Literal["difference", "example", "relative"]
"""How an influence is read from the losses before and after."""

READOUTS: dict[str, str] = {
    "difference": "nats/token",
    "example": "nats/token, mean of examples",
    "relative": "relative",
}
"""Unit of each read-out."""

Value = TypeVar("Value", float, Tensor)


def read_out(before: Value, after: Value, readout: Readout = "difference") -> Value:
    """Influence from a dataset's loss before and after.

    Args:
        before: loss at the pre-unlearning weights, in nats per token; a float or a tensor of any shape.
        after: loss after the episode, alike.
        readout: ``difference`` (UnTrac eq. 2, per token) and ``example`` (the same, where both losses are means over
            examples of each example's mean) give ``after - before``; ``relative`` gives
            ``(after - before) / (after + before)``, which lies in (-1, 1) and is comparable between test sets of
            very different loss (the normalised skew of mirrored unlearning, without its 1e-3 offset).

    Returns:
        The influence, of the type and shape of the losses.

    Raises:
        ValueError: for a read-out of another name.

    Example:
        >>> read_out(2.0, 3.0), read_out(2.0, 3.0, "relative")
        (1.0, 0.2)
    """
    if readout not in READOUTS:
        raise ValueError(f"readout: expected one of {', '.join(READOUTS)}, got {readout!r}")
    if readout == "relative":
        total = after + before
        if isinstance(total, Tensor):
            return torch.where(total == 0, 0.0, (after - before) / total)
        return (after - before) / total if total else 0.0
    return after - before
