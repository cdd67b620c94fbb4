"""Neighbours that are drawn once and read by several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.metrics.neighbourhood import Neighbourhood
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.neighbourhood import likelihoods, neighbour_targets, never_replaced
from lightning_untrac.modules.wrapping import Wrapping
from lightning_untrac.outputs import Outputs


class Proposals:
    """The neighbours of every sequence of some datasets.

    Under several ranks each keeps those of the sequences that it reads, which are the same at every reading.

    Args:
        count: neighbours of each sequence.
        seed: other seeds give other neighbours.
        names: the datasets, in the order of ``dataset_index``.
        frequencies: ``[vocabulary]`` logarithms of how often each token stands in a corpus; then tokens are drawn by
            these, and otherwise from the predictions of a model that :meth:`draw` is given.
    """

    def __init__(self, count: int, seed: int, names: Sequence[str], frequencies: Tensor | None = None) -> None:
        self.count, self.seed, self.names, self.frequencies = count, seed, names, frequencies
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def draw(self, seen: Outputs, never: Sequence[int]) -> list[Tensor]:
        """Draw the neighbours of a batch from predictions.

        Args:
            seen: a batch with what proposes tokens.
            never: tokens that are neither replaced nor drawn.

        Returns:
            Targets of each neighbour, ``[batch, length]`` int64.
        """
        return [neighbour_targets(seen, self.names, number, never, self.seed) for number in range(self.count)]

    def keep(self, batch: LanguageBatch, drawn: Sequence[Tensor]) -> None:
        """Remember what was drawn for a batch.

        Args:
            batch: the examples.
            drawn: of :meth:`draw`.
        """
        rows = torch.stack(list(drawn), dim=1).to(torch.int32).cpu().numpy()
        for key, row in zip(_examples(batch), rows, strict=True):
            self._kept[key] = row

    def of(self, seen: Outputs, never: Sequence[int]) -> list[Tensor]:
        """The neighbours of a batch.

        Args:
            seen: the batch and its targets.
            never: tokens that are neither replaced nor drawn.
        """
        if self.frequencies is not None:
            shape = (*seen.targets.shape, len(self.frequencies))
            proposed = self.frequencies.to(seen.logits.device).expand(shape)
            return self.draw(Outputs(proposed, seen.targets, seen.batch), never)
        found = np.full((self.count, *seen.targets.shape), IGNORE_INDEX, dtype=np.int64)
        for place, key in enumerate(_examples(seen.batch)):
            row = self._kept[key][:, : found.shape[2]]  # beyond it is padding
            found[:, place, : row.shape[1]] = row
        return list(torch.from_numpy(found).to(seen.targets.device))


def _examples(batch: Any) -> list[tuple[int, int]]:
    return list(zip(batch["dataset_index"].tolist(), batch["example_index"].tolist(), strict=True))


class Proposing(Wrapping):
    """Lets a model propose the neighbours of all that a validation reads.

    Args:
        module: the model.
        proposals: that are filled.
    """

    def __init__(self, module: LanguageModule, proposals: Proposals) -> None:
        super().__init__(module)
        self.proposals = proposals

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        self.proposals.keep(batch, self.proposals.draw(self.module.outputs_of(batch), never_replaced(self.module)))
        return {"measured": {}}


class WithNeighbours(Proposing):
    """Scores every sequence of a validation beside neighbours that were proposed before.

    Args:
        module: the model.
        proposals: the neighbours.
    """

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        seen = self.module.outputs_of(batch)
        drawn = self.proposals.of(seen, never_replaced(self.module))
        seen.neighbour_likelihoods = likelihoods(self.module.outputs_of, batch, drawn, self.module.is_seq2seq)
        return {"measured": {Neighbourhood.name: Neighbourhood()(seen)}}
