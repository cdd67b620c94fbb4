"""What a model says to the questions of a batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.decoding import PLAIN, Asked, Decoding
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.continuations import answer_after, continuations
from lightning_untrac.modules.framing import Framing
from lightning_untrac.modules.mixed import mixed_prompts
from lightning_untrac.modules.questions import Question, questions_of
from lightning_untrac.modules.shots import shots_before
from lightning_untrac.sharding import is_sharded


class ShotsWarning(UserWarning):
    """Questions are asked without the shots that were to stand before them."""


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
        ConfigurationError: if the model is a classifier, a question can't be put into a format, or there are no
            answered questions to show before it.
    """
    if module.task.classifies:
        names = ", ".join(measure.name for measure in module.measures if measure.decoding is not None)
        raise ConfigurationError([f"measures: {names} reads what a model says, and this is a classifier; leave it out"])
    found = questions_of(module, batch)
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


def _said(module: Any, questions: Sequence[Question], decoding: Decoding) -> list[list[str]]:
    """Of each question what is said, as many texts as formats and samples."""
    framing = Framing(module)
    every = of_all_ranks(module, [(_prompts(framing, one, decoding), one.example) for one in questions])
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
    lines = decoding.many_lines
    texts = [answer_after(module, prompt, one, many_lines=lines)[0] for prompt, one in zip(prompts, ids, strict=True)]
    size = decoding.num_answers
    own = range(every.begin * size, (every.begin + len(questions)) * size, size)
    return [texts[begin : begin + size] for begin in own]


def _prompts(framing: Framing, question: Question, decoding: Decoding) -> list[list[int]]:
    """Token ids of a question in each of the formats, after its shots, or with another question beside it."""
    if decoding.formats == (PLAIN,) and decoding.shots is None and decoding.beside is None:
        return [question.prompt]
    module = framing.module
    dataset = module.trainer.datamodule.tokenized.get(question.dataset)
    is_chat = dataset is not None and dataset.config.messages is not None
    if decoding.beside is not None:
        return mixed_prompts(framing, question, decoding, _room(module, decoding), is_chat)
    found = framing.prompts(question.prompt, decoding.formats, is_chat)
    if decoding.shots is None:
        return found
    pairs = shots_before(framing, question, decoding.shots)
    after = [framing.after(pairs, prompt, _room(module, decoding), is_chat) for prompt in found]
    if pairs and not any(after):
        warnings.warn(
            f"answered_after_shots: the context of {module.context_length} tokens has no room for a single pair before "
            f"some questions of {question.dataset}, which are asked without",
            ShotsWarning,
            stacklevel=2,
        )
    return [ids or prompt for ids, prompt in zip(after, found, strict=True)]


def _room(module: Any, decoding: Decoding) -> int | None:
    """Most tokens of a prompt that leaves room for an answer; None for any number."""
    context = module.context_length
    return None if context is None else context - (0 if module.is_seq2seq else decoding.longest)


class Gathered(NamedTuple):
    """What all ranks ask, and where one's own part of it begins."""

    rows: list[Any]
    begin: int


def of_all_ranks(module: Any, mine: list[Any]) -> Gathered:
    """Where ranks share the weights, each asks what all ask: they have to take the same steps.

    Args:
        module: in a Trainer.
        mine: what this rank asks; of plain values.
    """
    world = module.trainer.world_size
    if world == 1 or not is_sharded(module.model):
        return Gathered(mine, 0)
    every: list[Any] = [None] * world
    torch.distributed.all_gather_object(every, mine)
    begin = sum(len(rows) for rows in every[: module.trainer.global_rank])
    return Gathered([row for rows in every for row in rows], begin)
