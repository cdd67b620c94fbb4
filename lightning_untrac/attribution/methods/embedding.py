"""Embedding similarity: which corpus looks like the test set to the model itself."""

from __future__ import annotations

from typing import Any, ClassVar

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_untrac.attribution.reading import EveryDataset
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.functional import IGNORE_INDEX, shift_labels_left


class MeanHiddenStates(Callback):
    """Mean last hidden state over the target positions of each dataset that ``trainer.validate`` reads.

    The last hidden state is what goes into the output layer; sums are float64, over batches and ranks.

    Attributes:
        means: ``[datasets, width]`` float64, after the run; NaN for a dataset without targets.
    """

    def __init__(self) -> None:
        self.means: np.ndarray = np.empty((0, 0))
        self._hidden: Tensor | None = None
        self._sums: Tensor | None = None
        self._counts: Tensor | None = None
        self._hook: Any = None

    def _note(self, layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._hidden = inputs[0]

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._sums = self._counts = None
        self._hook = pl_module.model.get_output_embeddings().register_forward_pre_hook(self._note)

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert self._hidden is not None
        labels = batch["labels"] if pl_module.is_seq2seq else shift_labels_left(batch["labels"])
        is_target = (labels != IGNORE_INDEX).double()
        num_datasets = len(pl_module.evaluation_names)
        places = torch.arange(num_datasets, device=labels.device)
        membership = (batch["dataset_index"][None, :] == places[:, None]).double()
        sums = membership @ torch.einsum("bl,blh->bh", is_target, self._hidden.double())
        counts = membership @ is_target.sum(dim=1)
        self._sums = sums if self._sums is None else self._sums + sums
        self._counts = counts if self._counts is None else self._counts + counts
        self._hidden = None

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._hook.remove()
        assert self._sums is not None
        assert self._counts is not None
        sums = trainer.strategy.reduce(self._sums, reduce_op="sum")
        counts = trainer.strategy.reduce(self._counts, reduce_op="sum")
        self.means = (torch.as_tensor(sums) / torch.as_tensor(counts)[:, None]).cpu().numpy()


class Embedding(Scoring):
    """Cosine of the model's mean last hidden state on a corpus and on a test set, less the mean over corpora.

    The mean over target positions, so every token counts alike. All hidden states of a language model lie in a narrow
    cone; without taking away the mean over corpora every cosine is close to 1 (it stays where there is one corpus).

    * Unit and sign: cosine, -1 to 1; larger = more alike, less than the average corpus below 0.
    * Cost: one forward pass over every dataset. Memory: that of a validation.
    * Needs: nothing beside the core; any strategy that validates, on any number of devices.
    * Source: representation similarity, e.g. Hanawa et al. 2021.
    """

    method: ClassVar[str] = "embedding"
    title: ClassVar[str] = "Embedding similarity"
    summary: ClassVar[str] = "Compares the model's mean hidden states on each corpus and on each test set."
    unit: ClassVar[str] = "cosine"
    gradient_passes: ClassVar[float] = 0.4

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        module, states = run.build_module(), MeanHiddenStates()
        trainer = run.build_trainer(callbacks=[states], logger=False, enable_checkpointing=False)
        trainer.validate(module, datamodule=EveryDataset(run.data, module, run.max_examples), verbose=False)
        corpora, test_sets = np.split(states.means, [len(run.data.corpus_names)])
        centre = corpora.mean(axis=0) if len(corpora) > 1 else np.zeros(corpora.shape[1])
        return _directions(corpora - centre) @ _directions(test_sets - centre).T


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
