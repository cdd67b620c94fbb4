"""How much of the rest of a text a model writes, from all of its beginnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from lightning_untrac.functional.token_losses import IGNORE_INDEX


def runs_of_targets(targets: Tensor) -> list[tuple[int, int]]:
    """Where targets stand one after another, as first place and the place behind the last.

    Args:
        targets: ``[length]`` int64, :data:`IGNORE_INDEX` where there is no target.

    Example:
        >>> import torch
        >>> runs_of_targets(torch.tensor([-100, 4, 5, -100, 6]))
        [(1, 3), (4, 5)]
    """
    runs: list[tuple[int, int]] = []
    for place in (targets != IGNORE_INDEX).nonzero().flatten().tolist():
        begin = runs.pop()[0] if runs and runs[-1][1] == place else place
        runs.append((begin, place + 1))
    return runs


def greedy_continuations(text: Sequence[int], after_misses: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """What greedy decoding goes on with after each beginning of a text, from few continuations.

    Where the model's first choice is the true token, the continuation is that token and what comes after it. So walk
    from the end: such a place costs nothing, and only a miss needs a continuation of its own.

    Args:
        text: its tokens.
        after_misses: of each place where the first choice is another token, the continuation from that place on, that
            token first.

    Returns:
        The continuation from each place on.

    Example:
        >>> greedy_continuations([5, 6, 7, 8], {1: [9, 9, 9], 3: [4]})
        [[5, 9, 9, 9], [9, 9, 9], [7, 4], [4]]
    """
    found: list[list[int]] = []
    for place in reversed(range(len(text))):
        said = after_misses.get(place)
        found.append([text[place], *(found[-1] if found else ())] if said is None else [*said])
    return found[::-1]


def extraction_likelihood(text: Sequence[int], continuations: Sequence[Sequence[int]], n: int) -> tuple[float, int]:
    """Sum over a text's beginnings of the share of n-grams of the continuation that stand in the true rest.

    Published (Jang et al. 2022): ``EL_n(x) = 1/(T-n) * sum over t = 1 .. T-n of OVERLAP_n(f(x_<t), x_>=t)``, where
    ``OVERLAP_n(a, b)`` is the share of the n-grams of a, each as often as it stands there, that b has too. The first of
    the T tokens is context only, and is not among ``text``.

    Args:
        text: its T - 1 tokens that have something before them.
        continuations: what the model goes on with from each of them on, that one first.
        n: tokens of an n-gram.

    Returns:
        The sum, and over how many beginnings (T - n, or 0): those with n tokens or more after them.

    Example:
        >>> extraction_likelihood([2, 3, 4, 5, 6], [[2, 3, 9, 5, 6], [3, 4, 5, 6], [4, 5, 9], [5, 6], [9]], 2)
        (3.0, 4)
    """
    last = {tuple(text[begin : begin + n]): begin for begin in range(len(text) - n + 1)}  # where it stands last
    shares = []
    for place, said in zip(range(len(text) - n + 1), continuations, strict=False):
        grams = [tuple(said[begin : begin + n]) for begin in range(len(said) - n + 1)]
        shares.append(sum(last.get(gram, -1) >= place for gram in grams) / max(1, len(grams)))
    return math.fsum(shares), len(shares)
