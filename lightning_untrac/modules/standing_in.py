"""Another model in the place of a module's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lightning_untrac.modules.loading import build_model


def frozen_model(module: Any, config: Any, name_or_path: str | None = None) -> torch.nn.Module:
    """A model as a module would build it, on its device, without gradients and dropout.

    Args:
        module: a ``LanguageModule`` in a Trainer.
        config: transformers' configuration of the model.
        name_or_path: of its weights; None draws them from the module's ``init_seed``.
    """
    with torch.device("cpu"):
        model = build_model(
            config,
            name_or_path,
            dtype=module.dtype_name,
            init_seed=module.init_seed,
            lora=None,
            revision=None,
            trust_remote_code=module.trust_remote_code,
            attn_implementation=module.attn_implementation,
        )
    return model.requires_grad_(False).eval().to(module.device)


@contextmanager
def standing_in(module: Any, model: torch.nn.Module) -> Iterator[None]:
    """Within it, what a module makes of a batch is what another model makes of it.

    Args:
        module: a ``LanguageModule``.
        model: of :func:`frozen_model`.
    """
    own, module.model = module.model, model
    try:
        yield
    finally:
        module.model = own
