"""Which part of a text a model is to go on with once the beginning is given."""

from __future__ import annotations

from torch import Tensor

from lightning_untrac.functional.token_losses import IGNORE_INDEX


def suffix_places(targets: Tensor, prefix: int, length: int | None = None) -> tuple[Tensor, Tensor]:
    """Where the targets stand that come after the first ones.

    Args:
        targets: ``[batch, length]`` int64, :data:`IGNORE_INDEX` where there is no target.
        prefix: first target tokens that are given.
        length: target tokens of the suffix; None for all that are left.

    Returns:
        ``places`` (``[batch, length]`` bool) and ``whole`` (``[batch]`` bool): whether an example has a suffix, and
        all of it.

    Example:
        >>> import torch
        >>> targets = torch.tensor([[-100, 7, 8, 9], [5, 6, -100, -100]])
        >>> places, whole = suffix_places(targets, prefix=1, length=2)
        >>> places.int().tolist(), whole.tolist()
        ([[0, 0, 1, 1], [0, 1, 0, 0]], [True, False])
    """
    is_target = targets != IGNORE_INDEX
    number = is_target.cumsum(dim=1)
    places = is_target & (number > prefix)
    if length is not None:
        places &= number <= prefix + length
    return places, is_target.sum(dim=1) >= prefix + (1 if length is None else length)
