"""How probable a model holds further answers to the questions of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.evaluated import packed
from lightning_untrac.data.sampling import FILLER
from lightning_untrac.modules.asking import of_all_ranks
from lightning_untrac.outputs import AnswerLosses


def own_answer_losses(module: Any, batch: LanguageBatch, kind: str) -> AnswerLosses:
    """The losses of further answers to each example of a batch, in forward passes of their own.

    What is read depends on neither the batch nor padding nor the number of ranks, up to rounding of logits. Blocks of
    packed text have no further answers.

    Args:
        module: a ``LanguageModule`` in a Trainer, with its weights.
        batch: that was read.
        kind: the setting of a dataset that names their column, ``wrong_answers`` or ``paraphrased_answer``.

    Returns:
        Of each example as many as the one with most has.
    """
    names, data = module.evaluation_names, module.trainer.datamodule
    blocks, each = packed(data), list[list[dict[str, np.ndarray]]]()
    for dataset, example in zip(batch["dataset_index"].tolist(), batch["example_index"].tolist(), strict=True):
        there = dataset >= 0 and names[dataset] not in blocks
        answers = data.tokenized[names[dataset]].other_answers.get(kind) if there else None
        each.append([] if answers is None else answers[example])
    mine = [row for rows in each for row in rows]
    every = of_all_ranks(module, mine)
    sums, counts = _losses(module, every.rows)
    own = slice(every.begin, every.begin + len(mine))
    places = torch.tensor(
        [[row, place] for row, rows in enumerate(each) for place in range(len(rows))], dtype=torch.long
    )
    shape = len(each), max(map(len, each), default=0)
    found = AnswerLosses(torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.long))
    if mine:
        for table, values in zip(found, (sums[own], counts[own]), strict=True):
            table[places[:, 0], places[:, 1]] = values
    return AnswerLosses(*(table.to(batch["labels"].device) for table in found))


@torch.no_grad()
def _losses(module: Any, rows: Sequence[dict[str, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss sum and number of target tokens of each row, those of alike lengths in one batch."""
    data = module.trainer.datamodule
    collate = data.loader_options()["collate_fn"]
    sums, counts = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.long)
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]["input_ids"]), reverse=True)
    for first in range(0, len(order), data.eval_batch_size):
        chosen = order[first : first + data.eval_batch_size]
        nowhere = {"dataset_index": FILLER, "example_index": FILLER}
        batch = module.trainer.strategy.batch_to_device(collate([{**rows[place], **nowhere} for place in chosen]))
        found = module.outputs_of(batch).losses
        sums[chosen], counts[chosen] = (one.cpu() for one in found)
    return sums, counts
