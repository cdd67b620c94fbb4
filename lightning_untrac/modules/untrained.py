"""A model of the same architecture that was never trained: a teacher that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_untrac.modules.standing_in import frozen_model, standing_in

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
            self._model = frozen_model(module, module.model_config)
        with standing_in(module, self._model):
            logits: Tensor = module(batch)[0]
        return logits
