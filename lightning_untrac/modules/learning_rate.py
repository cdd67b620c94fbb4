"""The learning rate of further training and unlearning, by the width of the model."""

from __future__ import annotations

from typing import Any

import torch

REFERENCE_RATE, REFERENCE_WIDTH = 1e-3, 64
"""The learning rate that was found good, and the width of the models on which it was (benchmarks/RESULTS.md)."""

ADAPTER_RATE = 1e-4
"""The least learning rate of fresh adapters, which begin at zero: the usual one of their training, and not measured."""


def continuation_adam(parameters: Any, lr: float = REFERENCE_RATE) -> torch.optim.Optimizer:
    """Adam with a constant learning rate and fresh state: what a trained model goes on with by default.

    Fused, as ``paper_adam`` is, because it is faster and rounds the same.

    Args:
        parameters: of the model.
        lr: by default the one of models that are 64 wide; :func:`rate_of_width` gives that of another width.
    """
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def rate_of_width(hidden_size: int) -> float:
    """The learning rate for a model of some width: inversely proportional, from 1e-3 at 64.

    So Adam's rate for matrices is scaled in maximal update parametrisation (Yang et al. 2022, table 3). That it serves
    here is our reading; it was measured at the widths in benchmarks/RESULTS.md and nowhere else. At 2048 and 4096 it is
    within what the field sweeps for unlearning (1e-5 to 5e-5).

    Example:
        >>> rate_of_width(64), round(rate_of_width(768), 6), round(rate_of_width(2048), 6)
        (0.001, 8.3e-05, 3.1e-05)
    """
    return REFERENCE_RATE * REFERENCE_WIDTH / hidden_size


def model_width(model_config: Any) -> int | None:
    """Width of the hidden states by a model's configuration; None where it does not say."""
    width = getattr(model_config.get_text_config(), "hidden_size", None)
    return None if width is None else int(width)


def rate_of_module(module: Any) -> float:
    """The learning rate for a module's model; that of the reference width where the model does not say how wide it is.

    Args:
        module: a ``LanguageModule``; fresh adapters have a rate of their own at least.
    """
    rate = rate_of_width(model_width(module.model_config) or REFERENCE_WIDTH)
    return max(rate, ADAPTER_RATE) if module.lora else rate
