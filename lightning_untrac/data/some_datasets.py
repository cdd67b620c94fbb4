"""Some datasets of a DataModule by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from torch.utils.data import DataLoader
from typing_extensions import override

from lightning_untrac.data.datamodule import CorpusDataModule
from lightning_untrac.data.loading import Concatenation


class SomeDatasets(L.LightningDataModule):
    """Serves a validation some of the datasets that a plan reads, as the plan reads them.

    Args:
        data: the whole.
        names: which of its datasets.
    """

    def __init__(self, data: CorpusDataModule, names: Sequence[str]) -> None:
        super().__init__()
        self.data, self.evaluation_names = data, list(names)

    def __getattr__(self, name: str) -> Any:
        """What else is asked of data (batch size, tokenised datasets, unseen text), of the whole."""
        if name == "data":  # before it is there
            raise AttributeError(name)
        return getattr(self.data, name)

    @override
    def prepare_data(self) -> None:
        self.data.trainer = self.trainer
        self.data.prepare_data()

    @override
    def setup(self, stage: str) -> None:
        self.data.trainer = self.trainer
        self.data.setup(stage)

    def evaluation_data(self) -> Concatenation:
        """What is read, in the order of the names."""
        whole = self.data.evaluation_data()
        parts = dict(zip(self.data.evaluation_names, zip(whole.parts, whole.chosen, strict=True), strict=True))
        return Concatenation(*map(list, zip(*(parts[name] for name in self.evaluation_names), strict=True)))

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        return self.data.loader_of(self.evaluation_data())
