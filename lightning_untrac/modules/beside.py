"""Two models beside each other, on the same batches."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.metrics.distances import distances
from lightning_untrac.modules.language import LanguageModule


class Beside(L.LightningModule):
    """Reads every evaluated dataset with two models; ``trainer.validate(module, datamodule)``.

    Both lie in memory, each as its own module places it.

    Args:
        module: the model.
        reference: the one that it is held against, with the same tokenizer.
    """

    def __init__(self, module: LanguageModule, reference: LanguageModule) -> None:
        super().__init__()
        self.module, self.reference = module, reference

    @property
    def name_or_path(self) -> str:
        """What is measured, for progress."""
        return f"{self.module.name_or_path} beside {self.reference.name_or_path}"

    def __getattr__(self, name: str) -> Any:
        """What the data ask of a model (tokenizer, context length, vocabulary), of the first of the two."""
        found = super().__getattr__
        if name in ("tokenizer", "is_seq2seq", "context_length", "target_context_length", "vocabulary_size"):
            return getattr(self.module, name)
        return found(name)

    @override
    def configure_model(self) -> None:
        for one in (self.module, self.reference):
            one._device_mesh = self._device_mesh
            one.configure_model()

    @override
    def setup(self, stage: str) -> None:
        for one in (self.module, self.reference):
            one.setup(stage)

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        """Distances of each example of a batch, as ``measured``."""
        logits, targets = self.module(batch)
        reference, _ = self.reference(batch)
        return {"measured": distances(logits, reference, targets)}
