"""A checksum of weights, to the last bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def tensor_checksum(named_tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes.

    Args:
        named_tensors: pairs of name and tensor, any dtype and device; their order does not matter.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> a = {"w": torch.ones(2), "b": torch.zeros(1)}
        >>> tensor_checksum(a.items()) == tensor_checksum(reversed(a.items()))
        True
        >>> tensor_checksum({"w": torch.ones(2)}.items()) == tensor_checksum({"w": torch.ones(2).double()}.items())
        False
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(named_tensors, key=lambda pair: pair[0]):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        # As bytes, because numpy has no bfloat16 and because equal numbers with other bits (-0.0) are not restored.
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
