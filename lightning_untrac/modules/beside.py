"""Two models beside each other, on the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.metrics.distances import distances
from lightning_untrac.metrics.measure import Measure, measure_all
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.wrapping import ASKED


class Beside(L.LightningModule):
    """Reads every evaluated dataset with two models; ``trainer.validate(module, datamodule)``.

    Both lie in memory, each as its own module places it.

    Args:
        module: the model.
        reference: the one that it is held against, with the same tokenizer.
        measures: what is measured of the model in the same pass.
        of_reference: what is measured of the other one.
    """

    def __init__(
        self,
        module: LanguageModule,
        reference: LanguageModule,
        measures: Sequence[Measure] = (),
        of_reference: Sequence[Measure] = (),
    ) -> None:
        super().__init__()
        self.module, self.reference = module, reference
        module.measures, reference.measures = tuple(measures), tuple(of_reference)

    @property
    def name_or_path(self) -> str:
        """What is measured, for progress."""
        return f"{self.module.name_or_path} beside {self.reference.name_or_path}"

    def __getattr__(self, name: str) -> Any:
        """What the data ask of a model (tokenizer, context length, vocabulary), of the first of the two."""
        found = super().__getattr__
        if name in ASKED:
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
        """Distances of each example of a batch and what is measured of the model, as ``measured``.

        Returns:
            ``measured``, and ``of_reference``: what is measured of the other model.
        """
        mine, theirs = self.module.outputs_to_measure(batch), self.reference.outputs_to_measure(batch)
        found = distances(mine.logits, theirs.logits, mine.targets)
        return {
            "measured": found | measure_all(self.module.measures, mine),
            "of_reference": measure_all(self.reference.measures, theirs),
        }
