"""Linear layers whose weights are rounded to a few bits, in place."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lightning_untrac.functional.uncertainty import Floats

INSTALL: Final = "pip install 'lightning-untrac[quantised]' -c constraints.txt"


class Quantised(NamedTuple):
    """A matrix of weights after quantisation.

    Attributes:
        codes: ``[out, in]`` integers, the code of each weight.
        weights: ``[out, in]`` in the dtype that came, what the codes stand for: code times scale.
    """

    codes: Tensor
    weights: Tensor


class Quantiser(NamedTuple):
    """One way of storing weights in few bits.

    Attributes:
        title: for people.
        package: that does it.
        group: how many inputs of a row share a scale, if the width has to be a multiple of it.
        quantise: ``[out, in]`` weights, in float32 or a 16-bit format, to codes and weights.
    """

    title: str
    package: str
    group: int | None
    quantise: Callable[[Tensor], Quantised]


def quantise_layers(model: nn.Module, quantiser: Quantiser) -> None:
    """Put what is left of them after quantisation in the place of the weights of all linear layers.

    The product of an input with such weights is what a quantised layer computes, which turns its codes back into
    numbers of the input's dtype first. Biases, embeddings, norms and the layer that gives the logits stay as they are,
    as transformers leaves them.

    Args:
        model: whole, on one device; changed in place.
        quantiser: one of :data:`QUANTISERS`.
    """
    for _, weight, transposed in linear_layers(model):
        rounded = quantised(weight, quantiser, transposed).weights
        with torch.no_grad():
            weight.copy_(rounded.T if transposed else rounded)


def quantised(weight: Tensor, quantiser: Quantiser, transposed: bool = False) -> Quantised:
    """Quantise one matrix.

    Args:
        weight: ``[out, in]``, or ``[in, out]`` where it is transposed.
        quantiser: one of :data:`QUANTISERS`.
        transposed: as GPT-2 keeps its weights.
    """
    plain = (weight.T if transposed else weight).detach().contiguous()
    found = quantiser.quantise(plain.float() if plain.dtype == torch.float64 else plain)
    return Quantised(found.codes, found.weights.to(plain.dtype))


def linear_layers(model: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Name, weights, and whether these are ``[in, out]``, of all linear layers but the one that gives the logits.

    Args:
        model: of transformers; of an ensemble the members' layers.
    """
    from transformers import Conv1D, PreTrainedModel

    heads = [_head(one) for one in model.modules() if isinstance(one, PreTrainedModel)]
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | Conv1D) and all(layer is not head for head in heads):
            yield name, layer.weight, isinstance(layer, Conv1D)


def _head(model: nn.Module) -> nn.Module | None:
    """The layer that gives the logits: the output embeddings, or a classifier's last layer."""
    from transformers.modeling_utils import PreTrainedModel

    assert isinstance(model, PreTrainedModel)
    if (head := model.get_output_embeddings()) is not None or not hasattr(model, "num_labels"):
        return head
    outside = f"{model.base_model_prefix}."
    own = [
        layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and not name.startswith(outside)
    ]
    return own[-1] if own and model.base_model is not model else None


def same_codes(model: nn.Module, start: nn.Module, quantiser: Quantiser) -> tuple[Floats, Floats]:
    """Which share of a model's weights has the same code as another model's: steps within a bin are lost.

    Args:
        model: not quantised yet.
        start: another one, as it was.
        quantiser: one of :data:`QUANTISERS`.

    Returns:
        The share and the number of weights of each linear layer, ``[layers]`` float64 each; none of models of other
        shapes.
    """
    pairs = list(zip_longest(linear_layers(model), linear_layers(start)))
    if any(None in pair or pair[0][1].shape != pair[1][1].shape for pair in pairs):
        return np.zeros(0), np.zeros(0)
    shares, sizes = [], []
    for (_, weight, transposed), (_, other, _) in pairs:
        mine, theirs = (quantised(one, quantiser, transposed).codes for one in (weight, other))
        shares.append((mine == theirs).double().mean().item())
        sizes.append(weight.numel())
    return np.array(shares), np.array(sizes, dtype=np.float64)


def missing_packages(quantisers: Mapping[str, Quantiser]) -> list[str]:
    """Which packages are not installed, and how to get them, a sentence each.

    Args:
        quantisers: by name.
    """
    return [
        f"{name} needs the package {one.package}: {INSTALL}"
        for name, one in quantisers.items()
        if find_spec(one.package) is None
    ]


def _nf4(weight: Tensor) -> Quantised:
    with _quiet():
        import bitsandbytes.functional as bnb

    packed, state = bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    pairs = packed.flatten()
    codes = torch.stack([pairs >> 4, pairs & 15], dim=1).flatten()[: weight.numel()]  # two weights a byte
    return Quantised(codes.view_as(weight), bnb.dequantize_4bit(packed, state))


def _int8(weight: Tensor) -> Quantised:
    with _quiet():
        from torchao.quantization import Int8WeightOnlyConfig

        return _by_torchao(weight, Int8WeightOnlyConfig())


def _int4(weight: Tensor) -> Quantised:
    with _quiet():
        from torchao.quantization import IntxWeightOnlyConfig, PerGroup

        config = IntxWeightOnlyConfig(torch.int4, PerGroup(32))  # type: ignore[attr-defined]
        return _by_torchao(weight, config)


def _by_torchao(weight: Tensor, config: object) -> Quantised:
    from torchao.quantization import quantize_

    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layers = nn.Sequential(layer)
    quantize_(layers, config)
    found: Any = layers[0].weight
    return Quantised(found.qdata, found.dequantize())


@contextmanager
def _quiet() -> Iterator[None]:
    """These packages warn, when they are imported, of kernels for other devices and of torch's own names."""
    before = logging.root.manager.disable  # loggers' own levels are set anew while torchao is imported
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


QUANTISERS: Final[Mapping[str, Quantiser]] = {
    "nf4": Quantiser("4-bit NormalFloat", "bitsandbytes", None, _nf4),
    "int8": Quantiser("8-bit integers", "torchao", None, _int8),
    "int4": Quantiser("4-bit integers", "torchao", 32, _int4),
}
"""By name: NF4 in blocks of 64 weights (Dettmers et al. 2023), int8 a row, int4 in groups of 32 inputs."""
