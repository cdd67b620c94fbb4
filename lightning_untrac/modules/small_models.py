"""A small model of the same architecture as a large one, to try things on that only the architecture decides."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from lightning_untrac.modules.heads import head_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

VOCABULARY = 64
MOST_PARAMETERS = 20_000_000
"""A model above this size is not tried: its making alone would take seconds."""

LAYERS = ("num_hidden_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
HEADS = ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads")
WIDTHS = (
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
)
WINDOW = re.compile(r"attention_window")
TOKEN = re.compile(r"_token_id$|_token_index$")


def model_class(config: PretrainedConfig) -> Any:
    """The transformers class that makes a model of a configuration, with the head that it names."""
    import transformers

    return getattr(transformers, head_of(config).auto_class)


def without_weights(config: PretrainedConfig, *, trust_remote_code: bool = False, **options: Any) -> PreTrainedModel:
    """A model of a configuration whose parameters have shapes and take no memory.

    Args:
        config: of the model.
        trust_remote_code: as of transformers.
        options: likewise, of ``from_config``.
    """
    with torch.device("meta"):
        model: PreTrainedModel = model_class(config).from_config(
            copy.deepcopy(config), trust_remote_code=trust_remote_code, **options
        )
    return model


def make(config: PretrainedConfig, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """A model with random weights, none of which is zero or one: each part shows in the outputs.

    Raises:
        ValueError: if it would be larger than :data:`MOST_PARAMETERS`.
    """
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "dtype": torch.float32}
    size = sum(parameter.numel() for parameter in without_weights(config, **options).parameters())
    if size > MOST_PARAMETERS:
        raise ValueError(f"{size} parameters")
    with torch.device("cpu"):
        model = model_class(config).from_config(copy.deepcopy(config), **options)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def smaller_configs(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    """The configuration with a small vocabulary, the same in fewer and narrower layers, and in fewer layers only.

    Not every architecture can be made narrower by the same names; take the first that works.
    """
    if _parameters(config) <= MOST_PARAMETERS:
        yield _smaller(config, fewer=False, narrower=False)
    yield _smaller(config, fewer=True, narrower=True)
    yield _smaller(config, fewer=True, narrower=False)


def parts(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    """A configuration and those inside it (of a text model beside a vision model, say)."""
    from transformers import PretrainedConfig

    yield config
    for value in vars(config).values():
        if isinstance(value, PretrainedConfig):
            yield from parts(value)


def _parameters(config: PretrainedConfig) -> float:
    """About how many parameters the layers have; infinite where the usual names are missing."""
    text = config.get_text_config()
    layers, width = getattr(text, "num_hidden_layers", None), getattr(text, "hidden_size", None)
    if not isinstance(layers, int) or not isinstance(width, int):
        return float("inf")
    return 12 * layers * width**2


def _smaller(config: PretrainedConfig, *, fewer: bool, narrower: bool) -> PretrainedConfig:
    small = copy.deepcopy(config)
    for part in parts(small):
        _small_vocabulary(part)
        if fewer:
            _fewer_layers(part)
        if narrower:
            _narrower(part)
    if hasattr(small, "quantization_config"):
        del small.quantization_config
    return small


def _small_vocabulary(part: Any) -> None:
    if isinstance(getattr(part, "vocab_size", None), int):
        part.vocab_size = min(part.vocab_size, VOCABULARY)
        for name, value in list(vars(part).items()):
            if not TOKEN.search(name):
                continue
            if isinstance(value, int) and value >= part.vocab_size:
                setattr(part, name, part.vocab_size - 1)
            elif isinstance(value, list):
                setattr(part, name, [min(one, part.vocab_size - 1) for one in value])
    for name, value in list(vars(part).items()):
        if WINDOW.search(name) and isinstance(value, int | list):
            setattr(part, name, 8 if isinstance(value, int) else [8] * len(value))


def _set(part: Any, name: str, value: Any) -> None:
    with contextlib.suppress(NotImplementedError):  # of a name that a configuration has for reading alone
        setattr(part, name, value)


def _fewer_layers(part: Any) -> None:
    for name in LAYERS:
        count = getattr(part, name, None)
        if not isinstance(count, int) or count <= 2:
            continue
        kinds = getattr(part, "layer_types", None)
        if isinstance(kinds, list) and len(kinds) == count:  # one layer of each kind
            kept = sorted({kind: index for index, kind in reversed(list(enumerate(kinds)))}.values())
        else:
            kept = [0, 1]
        for key, value in list(vars(part).items()):
            if isinstance(value, list) and len(value) == count:
                _set(part, key, [value[index] for index in kept])
        _set(part, name, len(kept))


def _narrower(part: Any) -> None:
    heads, width = getattr(part, "num_attention_heads", None), getattr(part, "hidden_size", None)
    if not isinstance(heads, int) or not isinstance(width, int) or heads < 1:
        return
    head_width = getattr(part, "head_dim", None) or width // heads
    shared = getattr(part, "num_key_value_heads", None)
    for name in HEADS:
        if isinstance(getattr(part, name, None), int):
            _set(part, name, 2)
    if isinstance(shared, int):
        part.num_key_value_heads = 2 if shared == heads else 1
    part.hidden_size = 2 * head_width
    for name in WIDTHS:
        if isinstance(getattr(part, name, None), int):
            _set(part, name, 2 * head_width)
