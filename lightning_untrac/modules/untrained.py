"""A model of the same architecture that was never trained: a teacher that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_untrac.modules.loading import build_model

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class Untrained:
    """Gives the logits of the model's architecture with weights as they are first drawn.

    It is made when it is first asked, from ``init_seed``, so that it is the same on every rank and in a run that goes
    on. Every rank holds all of it, without gradients.

    Args:
        module: a ``LanguageModule``.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self._model: torch.nn.Module | None = None

    @torch.no_grad()
    def logits(self, batch: LanguageBatch) -> Tensor:
        """Of a batch, aligned with the model's own: ``[batch, length, vocabulary]``.

        Args:
            batch: what goes in.
        """
        module = self.module
        if self._model is None:
            self._model = self._made()
        trained, module.model = module.model, self._model
        try:
            logits: Tensor = module(batch)[0]
        finally:
            module.model = trained
        return logits

    def _made(self) -> torch.nn.Module:
        module = self.module
        with torch.device("cpu"):
            model = build_model(
                module.model_config,
                None,
                dtype=module.dtype_name,
                init_seed=module.init_seed,
                lora=None,
                revision=None,
                trust_remote_code=module.trust_remote_code,
                attn_implementation=module.attn_implementation,
            )
        return model.requires_grad_(False).eval().to(module.device)
