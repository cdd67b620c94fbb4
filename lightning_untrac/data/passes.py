"""Datasets gone through one after another, each once, with nothing stepped on: for sums of gradients and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning.pytorch as L
from torch.utils.data import DataLoader

from lightning_untrac.data.checks import data_parallel_rank, sampler_problems
from lightning_untrac.data.datamodule import CorpusDataModule
from lightning_untrac.data.loading import Concatenation, some_of
from lightning_untrac.data.sampling import evaluation_batches
from lightning_untrac.errors import raise_if_any

Quantity = Literal["gradient", "squares", "loss"]
"""``gradient`` of the mean loss per token; mean ``squares`` of single examples' gradients; the ``loss`` per token."""


@dataclass(frozen=True)
class DatasetPass:
    """One dataset, gone through once.

    Attributes:
        dataset: name of a corpus, which is read as it is trained on (blocks where it is packed), or of a test set,
            which is read example by example.
        quantity: what is computed.
        max_examples: read at most so many examples or blocks, drawn once; all of them where None.
    """

    dataset: str
    quantity: Quantity = "gradient"
    max_examples: int | None = None


class PassesDataModule(L.LightningDataModule):
    """Serves one pass a Lightning epoch; every example once over all ranks, longest first.

    The Trainer needs ``max_epochs=len(passes)`` and ``reload_dataloaders_every_n_epochs=1``.

    Args:
        data: the datasets, prepared. Its ``eval_batch_size`` is the size of the batches, except that ``squares`` need
            single examples.
        passes: what to go through, in order.
    """

    def __init__(self, data: CorpusDataModule, passes: Sequence[DatasetPass]) -> None:
        super().__init__()
        self.data, self.passes = data, list(passes)

    def setup(self, stage: str) -> None:
        """Refuse Lightning's own sampler, which would repeat examples."""
        raise_if_any(sampler_problems(self.trainer))

    @property
    def current_pass(self) -> DatasetPass:
        """The pass of the Trainer's current epoch."""
        assert self.trainer is not None
        return self.passes[self.trainer.current_epoch]

    def num_batches(self, one: DatasetPass) -> int:
        """Batches of a pass on each rank."""
        return len(self._batches(self._examples(one), one))

    def train_dataloader(self) -> DataLoader[Any]:
        """The loader of the current pass."""
        one = self.current_pass
        examples = self._examples(one)
        return DataLoader(examples, batch_sampler=self._batches(examples, one), **self.data.loader_options())

    def _examples(self, one: DatasetPass) -> Concatenation:
        part = self.data.training_examples(one.dataset)
        return Concatenation([part], [some_of(part, one.max_examples)])

    def _batches(self, examples: Concatenation, one: DatasetPass) -> Any:
        rank, num_replicas = data_parallel_rank(self.trainer)
        batch_size = 1 if one.quantity == "squares" else self.data.eval_batch_size
        return evaluation_batches(examples.lengths(), batch_size, rank, num_replicas)
