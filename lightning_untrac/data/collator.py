"""Examples of unlike lengths to one batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from lightning_untrac.functional import IGNORE_INDEX


class LanguageBatch(TypedDict):
    """What a step receives.

    Attributes:
        input_ids: ``[batch, length]`` int64.
        attention_mask: ``[batch, length]`` int64, 0 on padding; absent where no row is padded, which lets attention
            take its fastest path.
        labels: ``[batch, length]`` (causal, or classes of tokens), ``[batch, target length]`` (seq2seq) or
            ``[batch, 1]`` (a class each) int64, -100 where no target.
        dataset_index: ``[batch]`` int64, which of the evaluated datasets; -1 for filler.
        example_index: ``[batch]`` int64, which of its examples (or blocks); -1 for filler.
        has_targets: whether any label is a target; on the host, so that asking costs no wait for the device.
        retain: examples that are to stay, where the objective asks for them; a batch of its own.
        alternative: other answers to the same prompts, where the objective asks for them; a batch of its own.
        retain_alternative: other answers to the prompts of ``retain``, alike.
        step_tokens: target tokens of the whole effective batch that this one is a part of, over all micro-batches and
            ranks, of this stream; there where the batch is cut or has other streams beside it.
        step_sequences: its examples with a target, likewise.
    """

    input_ids: Tensor
    attention_mask: NotRequired[Tensor]
    labels: Tensor
    dataset_index: Tensor
    example_index: Tensor
    has_targets: bool
    retain: NotRequired[LanguageBatch]
    alternative: NotRequired[LanguageBatch]
    retain_alternative: NotRequired[LanguageBatch]
    step_tokens: NotRequired[int]
    step_sequences: NotRequired[int]


@dataclass
class Collator:
    """Pad on the right.

    Args:
        pad_token: token id of the padding of ``input_ids``; labels are padded with -100.
        targets_apart: whether targets are no part of the inputs, so that the first label is one too (a causal model
            predicts nothing from nothing).

    Example:
        >>> row = lambda ids: {"input_ids": ids, "labels": ids, "dataset_index": 0, "example_index": 0}
        >>> batch = Collator(pad_token=0)([row([5, 6]), row([7])])
        >>> batch["input_ids"].tolist(), batch["labels"].tolist(), batch["attention_mask"].tolist()
        ([[5, 6], [7, 0]], [[5, 6], [7, -100]], [[1, 1], [1, 0]])
    """

    pad_token: int
    targets_apart: bool = False

    def __call__(self, rows: Sequence[dict[str, Any]]) -> LanguageBatch:
        """Stack ``rows`` into a :class:`LanguageBatch`."""
        input_ids, lengths = self._padded([row["input_ids"] for row in rows], self.pad_token)
        labels, _ = self._padded([row["labels"] for row in rows], IGNORE_INDEX)
        batch = LanguageBatch(
            input_ids=input_ids,
            labels=labels,
            dataset_index=torch.tensor([row["dataset_index"] for row in rows]),
            example_index=torch.tensor([row["example_index"] for row in rows]),
            has_targets=bool((labels if self.targets_apart else labels[:, 1:]).ne(IGNORE_INDEX).any()),
        )
        if lengths.min() < input_ids.shape[1]:
            positions = np.arange(input_ids.shape[1])
            batch["attention_mask"] = torch.from_numpy((positions < lengths[:, None]).astype(np.int64))
        return batch

    @staticmethod
    def _padded(arrays: Sequence[Any], filler: int) -> tuple[Tensor, np.ndarray]:
        lengths = np.array([len(array) for array in arrays])
        # An encoder-decoder's source may be empty; one masked token keeps the tensor's shape legal.
        padded = np.full((len(arrays), max(1, lengths.max())), filler, dtype=np.int64)
        for row, array in zip(padded, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(padded), lengths
