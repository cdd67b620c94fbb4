"""How a model goes on with a text by itself, after each true token that it would not have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.extraction_likelihood import runs_of_targets
from lightning_untrac.modules.asking import of_all_ranks
from lightning_untrac.modules.continuations import AT_ONCE, GREEDY, OWN_CHANCES
from lightning_untrac.modules.decoder_inputs import decoder_inputs
from lightning_untrac.outputs import Outputs

FIRST_CHOICE: Final[dict[str, Any]] = {
    **GREEDY,
    **OWN_CHANCES,
    "eos_token_id": None,
    "repetition_penalty": 1.0,
}
"""The likeliest token each time and nothing else, whatever the model's own settings ask for; a text has no end."""


class Miss(NamedTuple):
    """A place of a text where the model's first choice is another token.

    Attributes:
        row: of the batch.
        place: of the logits.
        begin: token ids of what stands before it, and the model's first choice there.
        length: tokens of ``begin`` and of what is to come.
        source: token ids that an encoder reads; none of a decoder alone.
    """

    row: int
    place: int
    begin: list[int]
    length: int
    source: list[int]


def own_continuations(module: Any, batch: LanguageBatch, seen: Outputs) -> list[dict[int, list[int]]]:
    """Let a model go on greedily after each of its misses, to the end of the run of targets.

    A continuation goes on through tokens that end a text, as the text may; it has as many tokens as the true rest. What
    comes does not depend on the batch, on padding or on the number of ranks, up to rounding of logits.

    Args:
        module: a ``LanguageModule`` in a Trainer, with its weights.
        batch: that was read.
        seen: what came of it.

    Returns:
        Of each row the continuations by the place of the miss, the model's first choice first.

    Raises:
        ConfigurationError: if the model is a classifier.
    """
    if module.task.classifies:
        names = ", ".join(measure.name for measure in module.measures if "continuations" in measure.needs)
        raise ConfigurationError(
            [f"measures: {names} reads what a model writes, and this is a classifier; leave it out"]
        )
    misses = _misses(module, batch, seen)
    every = of_all_ranks(module, [(miss.begin, miss.length, miss.source) for miss in misses])
    written = whole_texts(module, [Miss(0, 0, *one) for one in every.rows])
    own = written[every.begin : every.begin + len(misses)]
    found: list[dict[int, list[int]]] = [{} for _ in range(len(seen.targets))]
    for miss, ids in zip(misses, own, strict=True):
        found[miss.row][miss.place] = ids[len(miss.begin) - 1 :]
    return found


def _misses(module: Any, batch: LanguageBatch, seen: Outputs) -> list[Miss]:
    reads = decoder_inputs(module.model, batch["labels"]) if module.is_seq2seq else batch["input_ids"]
    mask = batch.get("attention_mask")
    choices, targets = seen.logits.argmax(dim=-1).cpu(), seen.targets.cpu()
    sources, reads = batch["input_ids"].cpu(), reads.cpu()
    real = torch.ones_like(sources, dtype=torch.bool) if mask is None else mask.cpu().bool()
    found = []
    for row, (own, wanted) in enumerate(zip(choices.tolist(), targets, strict=True)):
        source = sources[row][real[row]].tolist() if module.is_seq2seq else []
        counts = torch.ones_like(reads[row], dtype=torch.bool) if module.is_seq2seq else real[row]
        true = wanted.tolist()
        for first, end in runs_of_targets(wanted):
            for place in range(first, end):
                if own[place] != true[place]:
                    before = reads[row, : place + 1][counts[: place + 1]].tolist()
                    found.append(Miss(row, place, [*before, own[place]], len(before) + end - place, source))
    return found


def whole_texts(module: Any, misses: Sequence[Miss]) -> list[list[int]]:
    """Texts with what a model writes of them; in batches of what goes on after about as many tokens.

    Args:
        module: in a Trainer, with its weights. The mode that it is in (training or not) stays.
        misses: where it goes on; their rows and places are not looked at.

    Returns:
        Token ids, in the order of the misses.
    """
    written = [miss.begin for miss in misses]
    at_once = getattr(getattr(module.trainer, "datamodule", None), "eval_batch_size", None) or AT_ONCE
    # What the last place of a text is missed for is known already.
    waiting = [index for index, miss in enumerate(misses) if len(miss.begin) < miss.length]
    waiting.sort(key=lambda index: len(misses[index].begin))
    was_training = module.model.training
    module.model.eval()
    try:
        with torch.no_grad(), module.trainer.precision_plugin.val_step_context():
            for first in range(0, len(waiting), at_once):
                chosen = waiting[first : first + at_once]
                for index, ids in zip(chosen, _together(module, [misses[one] for one in chosen]), strict=True):
                    written[index] = ids[: misses[index].length]
    finally:
        module.model.train(was_training)
    return written


def _together(module: Any, misses: Sequence[Miss]) -> list[list[int]]:
    """Those of one batch: all begin where the shortest one does, so that none is padded and none leaves the context."""
    device = module.trainer.strategy.root_device
    known, lengths = _padded([miss.begin for miss in misses], device)
    start, width = int(lengths.min()), max(miss.length for miss in misses)
    begins = known[:, :start]
    inputs = {"input_ids": begins, "attention_mask": torch.ones_like(begins)}
    if module.is_seq2seq:
        sources, sizes = _padded([miss.source for miss in misses], device)
        mask = (torch.arange(sources.shape[1], device=device) < sizes[:, None]).long()
        inputs = {"input_ids": sources, "attention_mask": mask, "decoder_input_ids": begins}
    made = module.model.generate(
        **inputs,
        max_new_tokens=width - start,
        use_cache=not module.is_seq2seq,  # transformers makes a decoder's as deep as the encoder
        pad_token_id=padding_token(module.tokenizer, module.vocabulary_size),
        logits_processor=[Given(known, lengths)],
        **FIRST_CHOICE,
    )
    rows: list[list[int]] = made.tolist()
    return rows


def _padded(rows: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    """Token ids side by side, filled up on the right, and how many each row has."""
    lengths = torch.tensor([len(row) for row in rows], device=device)
    found = torch.zeros(len(rows), max(1, int(lengths.max())), dtype=torch.long)
    for row, ids in zip(found, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids, dtype=torch.long)
    return found.to(device), lengths


class Given:
    """Gives tokens that are known, row for row, before a model goes on by itself.

    Args:
        known: ``[rows, length]`` token ids.
        lengths: ``[rows]``, how many of them are known.

    Example:
        >>> given = Given(torch.tensor([[5, 2], [5, 0]]), torch.tensor([2, 1]))
        >>> given(torch.tensor([[5], [5]]), torch.tensor([[0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])).argmax(dim=1).tolist()
        [2, 1]
    """

    def __init__(self, known: Tensor, lengths: Tensor) -> None:
        self.known, self.lengths = known, lengths

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in which the known token is the likeliest, ``[rows, vocabulary]``.

        Args:
            input_ids: what stands before.
            scores: logits.
        """
        place = input_ids.shape[1]
        if place >= self.known.shape[1]:
            return scores
        forced = torch.zeros_like(scores).scatter(1, self.known[:, place : place + 1], 1.0)
        return torch.where((place < self.lengths)[:, None], forced, scores)
