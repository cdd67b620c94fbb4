"""Layers that terms of an objective train beside the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def layers_of_terms(module: Any) -> list[nn.Module]:
    """What each term of an ``Unlearning`` module trains of its own, of the model's type, the same on every rank.

    Args:
        module: whose model is in place.
    """
    terms = [term for term in module.unlearning_objective.terms() if term.has_layers]
    if not terms:
        return []
    width = int(module.model_config.get_text_config(decoder=True).hidden_size)
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(module.init_seed)
        made = [term.own_layers(width) for term in terms]
    return [layers.to(getattr(torch, module.dtype_name)) for layers in made if layers is not None]
