"""Neighbours of a sequence: copies in which some tokens are replaced by others that could stand there."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from torch import Tensor

COUNT: Final = 25
"""Neighbours of each sequence, as in the code beside Barbulescu and Triantafillou 2024."""

SHARE: Final = 0.3
"""Share of the tokens that are replaced, as there (of words, in spans of two, by T5)."""


def draws_of(dataset: str, example: int, neighbour: int, seed: int = 0) -> np.random.Generator:
    """Chance of one neighbour of one example: the same in every process, batch and run.

    Args:
        dataset: its name.
        example: index of the example in it.
        neighbour: which of its neighbours.
        seed: other seeds give other neighbours.
    """
    return np.random.default_rng((zlib.crc32(dataset.encode()), example, neighbour, seed))


def replaced_places(places: Tensor, chance: np.random.Generator, share: float = SHARE) -> Tensor:
    """Which tokens of a sequence are replaced in a neighbour: a share of those that may be, at least one.

    Args:
        places: ``[length]`` bool, tokens that may be replaced.
        chance: decides.
        share: of them.

    Returns:
        int64 indices in rising order; none where no token may be replaced.

    Example:
        >>> chosen = replaced_places(torch.tensor([False] + [True] * 10), np.random.default_rng(0))
        >>> len(chosen), bool((chosen > 0).all())
        (3, True)
    """
    there = places.nonzero().flatten()
    count = min(len(there), max(1, round(share * len(there))))
    chosen = np.sort(chance.permutation(len(there))[:count])
    return there[torch.from_numpy(chosen).to(there.device)]


def other_tokens(logits: Tensor, tokens: Tensor, chance: np.random.Generator, never: Iterable[int] = ()) -> Tensor:
    """Draw another token for each place, in proportion to the probabilities that are left to the others.

    Args:
        logits: ``[places, vocabulary]`` of whatever proposes tokens.
        tokens: ``[places]`` int64, what stands there now and is not drawn.
        chance: decides.
        never: tokens that are not drawn either, such as the end of a text.

    Returns:
        ``[places]`` int64. A place where no other token is possible keeps its own.

    Example:
        >>> logits = torch.tensor([[9.0, 1.0, -torch.inf], [0.0, -torch.inf, -torch.inf]])
        >>> other_tokens(logits, torch.tensor([0, 0]), np.random.default_rng(0)).tolist()
        [1, 0]
    """
    points = torch.from_numpy(chance.random(len(tokens))).to(logits.device)
    left = logits.double().clone()
    left.scatter_(1, tokens.unsqueeze(1), -torch.inf)
    if banned := sorted(set(never)):
        left[:, banned] = -torch.inf
    # Relative to the likeliest that is left: of a memorised token next to nothing is left to all others.
    best = left.amax(dim=1, keepdim=True)
    cumulated = (left - best.where(best.isfinite(), torch.zeros_like(best))).exp().cumsum(dim=1)
    total = cumulated[:, -1]
    drawn = torch.searchsorted(cumulated, (points * total).unsqueeze(1), right=True).squeeze(1)
    return torch.where(total > 0, drawn.clamp(max=logits.shape[1] - 1), tokens)


def neighbourhood_score(log_likelihood: Tensor, neighbours: Tensor) -> Tensor:
    """Mean log-likelihood of the neighbours minus that of the sequence, both means over target tokens, in nats/token.

    Low where the sequence itself is likelier than others like it (Mattern et al. 2023).

    Args:
        log_likelihood: ``[batch]``.
        neighbours: ``[neighbours, batch]``.
    """
    return neighbours.mean(dim=0) - log_likelihood
