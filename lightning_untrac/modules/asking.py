"""The questions of a batch, and what a model says to them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.evaluated import packed
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.modules.continuations import continuations, text_after
from lightning_untrac.modules.framing import Framing
from lightning_untrac.outputs import PLAIN, Asked, Decoding
from lightning_untrac.sharding import is_sharded


class _Question(NamedTuple):
    """A question of a batch: where it stands, its tokens, what it is, and of which example.

    Attributes:
        row: of the batch.
        prompt: token ids.
        asked: question and answer as texts.
        dataset: its name.
        number: of the example in it.
    """

    row: int
    prompt: list[int]
    asked: Asked
    dataset: str
    number: int

    @property
    def example(self) -> tuple[int, int]:
        """A number of the dataset's name, and the example's: what draws are of."""
        return zlib.crc32(self.dataset.encode()), self.number


def own_answers(
    module: Any, batch: LanguageBatch, decodings: Iterable[Decoding]
) -> tuple[list[Asked | None], dict[Decoding, list[list[str]]]]:
    """Ask a model the questions of a batch.

    A question is what stands before the first target of an example that has a prompt; blocks of packed text ask
    nothing. What is said depends on neither the batch nor the number of ranks, up to rounding of logits.

    Args:
        module: a ``LanguageModule`` in a Trainer, with its weights.
        batch: that was read.
        decodings: the ways to let it speak.

    Returns:
        The question of each row, None where there is none; and by decoding what was said to each row, as many texts as
        formats and samples.

    Raises:
        ConfigurationError: if the model is a classifier, or a question can't be put into a format.
    """
    if module.task.classifies:
        names = ", ".join(measure.name for measure in module.measures if measure.decoding is not None)
        raise ConfigurationError([f"measures: {names} reads what a model says, and this is a classifier; leave it out"])
    found = _questions(module, batch)
    size = len(batch["labels"])
    asked: list[Asked | None] = [None] * size
    for question in found:
        asked[question.row] = question.asked
    said = {}
    for decoding in sorted(decodings, key=repr):  # in the same order on all ranks
        said[decoding] = [[""] * decoding.num_answers for _ in range(size)]
        for question, texts in zip(found, _said(module, found, decoding), strict=True):
            said[decoding][question.row] = texts
    return asked, said


def _questions(module: Any, batch: LanguageBatch) -> list[_Question]:
    names, tokenizer = module.evaluation_names, module.tokenizer
    blocks = packed(module.trainer.datamodule)
    inputs, labels = batch["input_ids"].cpu().numpy(), batch["labels"].cpu().numpy()
    which, examples = batch["dataset_index"].tolist(), batch["example_index"].tolist()
    mask = batch.get("attention_mask")
    lengths = [inputs.shape[1]] * len(inputs) if mask is None else mask.sum(dim=1).tolist()
    found = []
    for row, (dataset, example) in enumerate(zip(which, examples, strict=True)):
        if dataset < 0 or names[dataset] in blocks:
            continue
        targets = np.flatnonzero(labels[row] != IGNORE_INDEX)
        if not len(targets):
            continue
        if module.is_seq2seq:
            prompt, answer = inputs[row, : lengths[row]], labels[row][targets]
        else:  # of several answers (a conversation's turns) the first, with what stands before it
            first = targets[0]
            after = targets[np.append(np.diff(targets) > 1, True).argmax()] + 1
            prompt, answer = inputs[row, :first], labels[row][first:after]
        texts = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, answer)]
        if all(texts):
            found.append(_Question(row, prompt.tolist(), Asked(*texts), names[dataset], example))
    return found


def _said(module: Any, questions: Sequence[_Question], decoding: Decoding) -> list[list[str]]:
    """Of each question what is said, as many texts as formats and samples."""
    every = _of_all_ranks(module, [(_prompts(module, one, decoding), one.example) for one in questions])
    asked = [
        (prompt, example) for prompts, example in every.rows for prompt in prompts for _ in range(decoding.samples)
    ]
    chances = None
    if decoding.temperature > 0:
        numbers = [number for _ in every.rows for number in range(decoding.num_answers)]
        chances = [
            np.random.default_rng((*example, number, decoding.seed))
            for (_, example), number in zip(asked, numbers, strict=True)
        ]
    prompts = [prompt for prompt, _ in asked]
    at_once = getattr(module.trainer.datamodule, "eval_batch_size", None)
    how: dict[str, Any] = {"at_once": at_once} if at_once else {}
    ids = continuations(module, prompts, decoding.longest, chances, decoding.temperature or 1.0, **how)
    texts = [_answer(module, prompt, one) for prompt, one in zip(prompts, ids, strict=True)]
    size = decoding.num_answers
    own = range(every.begin * size, (every.begin + len(questions)) * size, size)
    return [texts[begin : begin + size] for begin in own]


def _prompts(module: Any, question: _Question, decoding: Decoding) -> list[list[int]]:
    """Token ids of a question in each of the formats."""
    if decoding.formats == (PLAIN,):
        return [question.prompt]
    dataset = module.trainer.datamodule.tokenized.get(question.dataset)
    is_chat = dataset is not None and dataset.config.messages is not None
    return Framing(module).prompts(question.prompt, decoding.formats, is_chat)


def _answer(module: Any, prompt: Sequence[int], ids: Sequence[int]) -> str:
    """A continuation as an answer: one line, where no chat template says when an answer ends."""
    special = module.tokenizer.all_special_ids
    said = text_after(module.tokenizer, prompt, [one for one in ids if one not in special], module.is_seq2seq).strip()
    return said if module.tokenizer.chat_template else said.partition("\n")[0].rstrip()


class _Gathered(NamedTuple):
    """What all ranks ask, and where one's own part of it begins."""

    rows: list[Any]
    begin: int


def _of_all_ranks(module: Any, mine: list[Any]) -> _Gathered:
    """Where ranks share the weights, each asks what all ask: they have to take the same steps."""
    world = module.trainer.world_size
    if world == 1 or not is_sharded(module.model):
        return _Gathered(mine, 0)
    every: list[Any] = [None] * world
    torch.distributed.all_gather_object(every, mine)
    begin = sum(len(rows) for rows in every[: module.trainer.global_rank])
    return _Gathered([row for rows in every for row in rows], begin)
