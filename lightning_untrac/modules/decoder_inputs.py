"""What the decoder of a sequence-to-sequence model reads: its own targets, one step late."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_untrac.functional import IGNORE_INDEX


class NoDecoderStartError(ValueError):
    """A model doesn't say which token its decoder begins with."""


def decoder_inputs(model: Any, labels: Tensor) -> Tensor:
    """The inputs of the decoder by the model's own shift, or by its ``decoder_start_token_id`` where it has none.

    Args:
        model: of transformers, wrapped or not.
        labels: ``[batch, length]`` int64 token ids, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``[batch, length]`` int64.

    Raises:
        NoDecoderStartError: if no token is named to begin with.
    """
    start = decoder_start(model)
    if hasattr(model, "prepare_decoder_input_ids_from_labels"):
        try:
            return model.prepare_decoder_input_ids_from_labels(labels=labels)
        except (AttributeError, TypeError, ValueError):
            if start is not None:
                raise
    if start is None:
        raise NoDecoderStartError(
            f"{model.config.model_type}: has no decoder_start_token_id, the token before an encoder-decoder's first "
            "target; add it to its config.json (or model.config): the padding token for T5, eos or bos for others"
        )
    padding = model.config.pad_token_id
    shifted = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, 0 if padding is None else padding)


def decoder_start(model: Any) -> int | None:
    """The token that a model's decoder begins with."""
    for config in (model.config, getattr(model, "generation_config", None)):
        if (start := getattr(config, "decoder_start_token_id", None)) is not None:
            return int(start[0] if isinstance(start, list) else start)
    return None
