"""What models write by themselves from the openings of examples, and how likely each is to have written it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from typing_extensions import override

from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.openings import opening_of
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.functional import IGNORE_INDEX, example_losses
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.modules.asking import of_all_ranks
from lightning_untrac.modules.continuations import AT_ONCE, continuations
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.wrapping import Wrapping

Key = tuple[str, int]
"""A dataset's name and the number of an example in it."""

OWN = "own"
"""What a model's likelihood of its own samples is called."""


class Written(NamedTuple):
    """What a model has written from the opening of one example.

    Attributes:
        opening: token ids.
        samples: the token ids of each continuation, with the token that ends it, where one does.
    """

    opening: list[int]
    samples: list[list[int]]


@dataclass(frozen=True)
class Draws:
    """How samples are drawn: at temperature 1, from the model's own probabilities.

    Attributes:
        prefix: most target tokens of a text that are given as its opening.
        length: most tokens of a sample.
        samples: of each opening.
        seed: of the draws.
    """

    prefix: int
    length: int
    samples: int
    seed: int


class Sampling(Wrapping):
    """Draws samples in a validation, and says how likely the model is to have written them and others.

    A sample is of the dataset's name, the example, its own number and the seed alone: no batch, rank or order changes
    it, up to rounding of logits.

    Args:
        module: the model, whose weights may not be loaded yet.
        draws: how samples are drawn.
        given: name to what other models have written, which it reads.
        writes: whether the model writes itself, and reads what it wrote.

    Attributes:
        written: what the model itself has written, of all ranks once a validation has ended.
    """

    def __init__(
        self,
        module: LanguageModule,
        draws: Draws,
        given: Mapping[str, Mapping[Key, Written]] | None = None,
        writes: bool = True,
    ) -> None:
        super().__init__(module)
        self.draws, self.given, self.writes = draws, dict(given or {}), writes
        self.written: dict[Key, Written] = {}

    @property
    def scores(self) -> list[str]:
        """Names of what a validation measures."""
        return [*([OWN] if self.writes else []), *self.given]

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        """Log-likelihoods of samples from the openings of a batch, as ``measured``.

        Returns:
            ``measured``: ``own`` and each of ``given`` to nats per token and the number of tokens, ``[batch]`` float64.
        """
        names = self.module.evaluation_names
        which, numbers = batch["dataset_index"].tolist(), batch["example_index"].tolist()
        keys = [(names[one], number) if one >= 0 else None for one, number in zip(which, numbers, strict=True)]
        every = dict(self.given)
        if self.writes:
            self._write(batch, keys)
            every[OWN] = self.written
        return {"measured": {name: self._likelihoods(keys, written) for name, written in every.items()}}

    @override
    def on_validation_epoch_end(self) -> None:
        trainer = self.trainer
        if not self.writes or trainer.world_size == 1:
            return
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, self.written)
        self.written = {key: written for part in parts for key, written in part.items()}

    def _write(self, batch: LanguageBatch, keys: Sequence[Key | None]) -> None:
        """Draw the samples of a batch."""
        draws, module = self.draws, self.module
        inputs, labels, mask = batch["input_ids"].cpu().numpy(), batch["labels"].cpu().numpy(), None
        if "attention_mask" in batch:
            mask = batch["attention_mask"].bool().cpu().numpy()
        openings = {}
        for row, key in enumerate(keys):
            if key is not None:
                ids = inputs[row] if mask is None else inputs[row][mask[row]]
                openings[key] = opening_of(ids, labels[row], draws.prefix, module.is_seq2seq)
        mine = [(key, opening) for key, opening in openings.items() if opening]
        every = of_all_ranks(module, mine)
        chances = [
            np.random.default_rng((zlib.crc32(name.encode()), number, sample, draws.seed))
            for (name, number), _ in every.rows
            for sample in range(draws.samples)
        ]
        prompts = [opening for _, opening in every.rows for _ in range(draws.samples)]
        data: Any = module.trainer.datamodule  # type: ignore[attr-defined]
        at_once = getattr(data, "eval_batch_size", None) or AT_ONCE
        said = continuations(module, prompts, draws.length, chances, at_once=at_once, keeps_end=True)
        for place, (key, opening) in enumerate(mine, every.begin):
            begin = place * draws.samples
            self.written[key] = Written(opening, said[begin : begin + draws.samples])

    def _likelihoods(self, keys: Sequence[Key | None], written: Mapping[Key, Written]) -> Measured:
        """What the model makes of samples of a batch's examples: a forward pass for each sample of an opening."""
        found = [written.get(key) if key is not None else None for key in keys]
        sums = torch.zeros(len(keys), dtype=torch.float64, device=self.module.device)
        tokens = torch.zeros_like(sums)
        for sample in range(self.draws.samples):  # on every rank, also where one has nothing but filler to read
            pairs = [(one.opening, one.samples[sample]) if one is not None else ([], []) for one in found]
            batch = self._batch(pairs)
            losses, counts = example_losses(*self.module(batch))
            sums, tokens = sums - losses.double(), tokens + counts
        return Measured(torch.where(tokens > 0, sums / tokens.clamp(min=1), 0.0), tokens)

    def _batch(self, pairs: Sequence[tuple[list[int], list[int]]]) -> LanguageBatch:
        """Openings with what was written from them, whose tokens are the targets: the very token ids."""
        module = self.module
        padding, apart = padding_token(module.tokenizer, module.vocabulary_size), module.is_seq2seq
        rows = []
        for opening, sample in pairs:
            front = opening or [padding]
            ids = front if apart else [*front, *sample]
            labels = (sample or [IGNORE_INDEX]) if apart else [*[IGNORE_INDEX] * len(front), *sample]
            rows.append({"input_ids": ids, "labels": labels, "dataset_index": 0, "example_index": 0})
        batch = Collator(padding, targets_apart=apart)(rows)
        moved: Any = self.trainer.strategy.batch_to_device(batch, self.module.device)
        return moved
