"""The questions that a batch, or an example of a dataset, asks."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.evaluated import packed
from lightning_untrac.data.question_frame import prompt_and_answer
from lightning_untrac.decoding import Asked


class Question(NamedTuple):
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


def questions_of(module: Any, batch: LanguageBatch) -> list[Question]:
    """The questions of a batch, in the order of its rows.

    Args:
        module: a ``LanguageModule`` in a Trainer.
        batch: that was read.
    """
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
        found_pair = prompt_and_answer(inputs[row, : lengths[row]], labels[row], module.is_seq2seq)
        if found_pair is None:
            continue
        prompt, answer = found_pair
        texts = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, answer)]
        if all(texts):
            found.append(Question(row, prompt.tolist(), Asked(*texts), names[dataset], example))
    return found
