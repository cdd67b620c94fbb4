"""Neighbours of a batch, copies in which some target tokens are replaced, and how likely a model holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.neighbours import COUNT, SHARE, draws_of, other_tokens, replaced_places
from lightning_untrac.outputs import Outputs


def neighbour_targets(
    seen: Outputs, names: Sequence[str], neighbour: int, never: Sequence[int], seed: int = 0, share: float = SHARE
) -> Tensor:
    """The targets of one neighbour of each example of a batch.

    Args:
        seen: the batch with the logits of what proposes tokens; filler stays as it is.
        names: the datasets, in the order of ``dataset_index``.
        neighbour: which of the neighbours.
        never: tokens that are neither replaced nor drawn, such as the end of a text.
        seed: other seeds give other neighbours.
        share: of the tokens that are replaced.

    Returns:
        ``[batch, length]`` int64, aligned with ``seen.targets``.
    """
    targets = seen.targets.clone()
    kept = torch.tensor([*never, IGNORE_INDEX], device=targets.device)
    which, examples = (seen.batch[key].tolist() for key in ("dataset_index", "example_index"))
    for row, (dataset, example) in enumerate(zip(which, examples, strict=True)):
        if dataset < 0:
            continue
        chance = draws_of(names[dataset], example, neighbour, seed)
        places = replaced_places(~torch.isin(targets[row], kept), chance, share)
        targets[row, places] = other_tokens(seen.logits[row, places], targets[row, places], chance, never)
    return targets


def with_targets(batch: LanguageBatch, targets: Tensor, seq2seq: bool) -> LanguageBatch:
    """A batch with other target tokens in the same places.

    Args:
        batch: whose supervised tokens are replaced, in the labels and (of a causal model) in what it reads.
        targets: ``[batch, length]`` int64, aligned with the logits.
        seq2seq: whether targets are a sequence of their own.
    """
    if seq2seq:
        return LanguageBatch(**{**batch, "labels": targets})
    labels = batch["labels"].clone()
    labels[:, 1:] = targets[:, :-1]
    labels[:, 0] = batch["labels"][:, 0]
    input_ids = batch["input_ids"].clone()
    moved = targets[:, :-1] != IGNORE_INDEX
    input_ids[:, 1:][moved] = targets[:, :-1][moved]
    return LanguageBatch(**{**batch, "input_ids": input_ids, "labels": labels})


def likelihoods(
    outputs_of: Callable[[Any], Outputs], batch: LanguageBatch, all_targets: Sequence[Tensor], seq2seq: bool
) -> Tensor:
    """Mean log-likelihood per target token of each neighbour: one forward pass a neighbour.

    Args:
        outputs_of: runs the model.
        batch: the examples.
        all_targets: of each neighbour, ``[batch, length]``.
        seq2seq: whether targets are a sequence of their own.

    Returns:
        ``[neighbours, batch]`` float64; NaN where there is no target.
    """
    found = []
    for targets in all_targets:
        sums, counts = outputs_of(with_targets(batch, targets, seq2seq)).losses
        found.append(-sums / counts)
    return torch.stack(found)


def own_neighbours(module: Any, batch: LanguageBatch, seen: Outputs, count: int = COUNT) -> Tensor:
    """Likelihoods of neighbours that a model itself proposes.

    Args:
        module: a ``LanguageModule`` in a Trainer.
        batch: what it has read.
        seen: what came of it.
        count: neighbours of each example.

    Returns:
        ``[count, batch]`` float64.
    """
    never = never_replaced(module)
    drawn = [neighbour_targets(seen, module.evaluation_names, neighbour, never) for neighbour in range(count)]
    return likelihoods(module.outputs_of, batch, drawn, module.is_seq2seq)


def never_replaced(module: Any) -> list[int]:
    """Tokens that are neither replaced nor drawn: those that mark the begin and the end of texts and turns."""
    return [int(token) for token in module.tokenizer.all_special_ids]
