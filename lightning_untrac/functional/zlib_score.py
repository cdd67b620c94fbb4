"""A loss held against how far a text can be compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import torch
from torch import Tensor


def compressed_bytes(text: str) -> int:
    """Bytes of a text (UTF-8) once zlib has compressed it, at its usual level.

    Example:
        >>> compressed_bytes("abcabcabc" * 10) < 20, compressed_bytes("")
        (True, 8)
    """
    return len(zlib.compress(text.encode("utf-8", errors="surrogatepass")))


def zlib_scores(losses: Tensor, texts: Iterable[str]) -> Tensor:
    """Mean loss per token over the bytes of the compressed text (Carlini et al. 2021).

    Args:
        losses: ``[batch]`` mean losses per target token, nats.
        texts: of each example.

    Returns:
        ``[batch]`` float64, nats per token and byte.

    Example:
        >>> zlib_scores(torch.tensor([15.0]), ["abcabcabc" * 10]).item() == 15 / compressed_bytes("abcabcabc" * 10)
        True
    """
    sizes = torch.tensor([compressed_bytes(text) for text in texts], dtype=torch.float64, device=losses.device)
    return losses.double() / sizes
