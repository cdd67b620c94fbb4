"""Other labels than the right ones, drawn without a generator: the same for an example wherever it stands."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_untrac.functional.mixing import STEP, finalised, shifted


def other_labels(labels: Tensor, keys: Tensor, outcomes: int) -> Tensor:
    """A label for each place that is not its own, uniform over the others.

    Args:
        labels: ``[places]`` int64, from 0 to ``outcomes - 1``.
        keys: ``[places]`` int64; equal keys (and labels) get equal draws.
        outcomes: how many labels there are, at least 2.

    Returns:
        ``[places]`` int64.

    Raises:
        ValueError: if there is no other label.

    Example:
        >>> other_labels(torch.tensor([0, 1]), torch.tensor([7, 7]), outcomes=2).tolist()
        [1, 0]
    """
    if outcomes < 2:
        raise ValueError(f"outcomes={outcomes}: another label than the right one needs at least 2")
    return (labels + 1 + shifted(mixed(keys), 1) % (outcomes - 1)) % outcomes


def mixed(keys: Tensor) -> Tensor:
    """Integers that look as if they were drawn, one for each key: the output of SplitMix64.

    Args:
        keys: int64, any shape.
    """
    return finalised(keys + STEP)


def place_keys(examples: Tensor, places: Tensor, seed: int) -> Tensor:
    """A key for each place, of its example, its number among that example's places, and a seed.

    Args:
        examples: ``[batch]`` int64, a number for each example.
        places: ``[batch, length]`` bool; padding on either side changes nothing.
        seed: of the draws.

    Returns:
        ``[places]`` int64.
    """
    order = places.long().cumsum(dim=1) - 1
    of_example = mixed(mixed(torch.as_tensor(seed, device=examples.device)) + examples)
    return mixed(of_example[:, None] + order)[places]
