"""The base of modules that run another one in a way of their own."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from typing_extensions import override

from lightning_untrac.modules.language import LanguageModule

ASKED = (
    "tokenizer",
    "task",
    "is_seq2seq",
    "context_length",
    "target_context_length",
    "vocabulary_size",
    "num_outcomes",
)
"""What data ask of a model."""

FACTS = (*ASKED, "name_or_path")
"""What data and progress ask of a model."""


class Wrapping(L.LightningModule):
    """Places and sets up a module's model under any strategy.

    Args:
        module: the model, whose weights may not be loaded yet.
    """

    def __init__(self, module: LanguageModule) -> None:
        super().__init__()
        self.module = module

    def __getattr__(self, name: str) -> Any:
        """What is asked of a model, of the module's."""
        return getattr(self.module, name) if name in FACTS else super().__getattr__(name)

    @override
    def configure_model(self) -> None:
        self.module._device_mesh = self._device_mesh
        self.module.configure_model()

    @override
    def setup(self, stage: str) -> None:
        self.module.setup(stage)
