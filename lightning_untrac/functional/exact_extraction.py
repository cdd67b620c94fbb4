"""Whether a model writes the rest of a text by itself."""

from __future__ import annotations

from torch import Tensor

from lightning_untrac.functional.suffixes import suffix_places


def exact_extraction(hits: Tensor, targets: Tensor, prefix: int, length: int | None = None) -> tuple[Tensor, Tensor]:
    """Whether greedy decoding goes on with the true text, token for token, after its first tokens.

    It does where each token of the suffix is the model's first choice after the true tokens before it: then each of
    them is what greedy decoding writes, and stands before the next. So one pass over the text says it.

    Args:
        hits: ``[batch, length]`` bool, of :func:`~lightning_untrac.functional.memorisation.target_hits`.
        targets: ``[batch, length]`` int64, -100 where there is no target.
        prefix: first target tokens that are given.
        length: target tokens that have to follow; None for all that are left.

    Returns:
        ``extracted`` (``[batch]`` float64, 1 or 0; NaN where a text is too short) and ``counts`` (``[batch]`` bool).

    Example:
        >>> import torch
        >>> hits = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)
        >>> targets = torch.tensor([[4, 5, 6, 7], [4, 5, 6, 7], [4, -100, -100, -100]])
        >>> extracted, counts = exact_extraction(hits, targets, prefix=1)
        >>> extracted.tolist(), exact_extraction(hits, targets, prefix=1, length=2)[0].tolist()
        ([1.0, 0.0, nan], [1.0, 1.0, nan])
    """
    places, whole = suffix_places(targets, prefix, length)
    missed = (places & ~hits).any(dim=1)
    return (~missed).double().masked_fill(~whole, float("nan")), whole
