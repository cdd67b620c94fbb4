"""End an episode where the model's predictions have moved by a given divergence, and read the influences there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as L
import numpy as np
import torch
from lightning_untrac.callbacks.read_at_strength import ReadAtStrength
from torch import Tensor
from torchmetrics import MeanMetric
from typing_extensions import override

from lightning_untrac.data.sampling import FILLER
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.divergence import sampled_kl
from lightning_untrac.functional.loss import IGNORE_INDEX

NUM_DRAWS = 32
"""Tokens drawn from the start model's prediction at each place."""


class _Drawn(NamedTuple):
    tokens: Tensor
    log_probabilities: Tensor


class KLRadius(ReadAtStrength):
    """Strength is the root of KL(start model || model), nats per token, on a sample of all corpora: a trust region.

    The root, because a divergence grows with the square of how far the weights have moved. It is estimated from
    32 tokens a place, drawn once from the start model's predictions, so that memory does not grow with the vocabulary
    (:func:`~lightning_untrac.functional.divergence.sampled_kl`). It costs a forward pass over ``max_examples`` examples
    a reading.

    Args:
        target: divergence in nats per token.
        max_examples: how many examples (or blocks) of all corpora together are measured, drawn once, equally many
            of each, and at least one.
    """

    example = 0.01

    def __init__(self, target: float = 0.01, max_examples: int = 96) -> None:
        super().__init__(target, max_examples)
        self.divergence, self.target = target, math.sqrt(target)
        self._drawn: list[_Drawn] | None = None  # of this rank's examples; there may be none

    @override
    def start(self, trainer: L.Trainer, module: Any) -> None:
        if self._drawn is not None:  # every episode of a fit starts from the same weights
            return
        self._drawn = []
        generator = torch.Generator(module.device)
        with module.without_dropout():
            for key, log_probabilities in self._predictions(trainer, module):
                # By the example, so that neither batches nor ranks change what is drawn.
                generator.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
                drawn = torch.multinomial(log_probabilities.exp(), NUM_DRAWS, replacement=True, generator=generator)
                self._drawn.append(_Drawn(drawn.int(), log_probabilities.gather(1, drawn)))

    @override
    def strength(self, trainer: L.Trainer, module: Any) -> float:
        if self._drawn is None:
            raise UnlearningError(
                "KLRadius can't go on inside an episode: what the start model predicts is not in a checkpoint. Start "
                "the fit anew, or from a checkpoint of the end of an episode"
            )
        mean = MeanMetric().to(module.device)
        mean.update(0.0, 0.0)  # a rank without examples counts nothing, and takes part in the sum
        with module.without_dropout():
            for drawn, (_, log_probabilities) in zip(self._drawn, self._predictions(trainer, module), strict=True):
                now = log_probabilities.gather(1, drawn.tokens.long())
                mean.update(sampled_kl(drawn.log_probabilities, now))
        return math.sqrt(max(float(mean.compute()), 0.0))

    @override
    def note(self, dataset: str, seed: int) -> str:
        moved = self.unreached[dataset, seed] ** 2
        return (
            f"unlearning {dataset} (seed {seed}) moved the predictions by a divergence of {moved:.2g} nats per token "
            f"and not by {self.divergence}; its influences are those of the last step. Take more steps or a higher "
            "learning rate"
        )

    @torch.no_grad()
    def _predictions(self, trainer: L.Trainer, module: Any) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Of each example its place (corpus, index) and log-probabilities ``[target tokens, vocabulary]``."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        each = max(1, self.max_examples // len(data.corpus_names))
        for number, name in enumerate(sorted(data.corpus_names)):
            for batch in data.sample_dataloader(name, each):
                with trainer.precision_plugin.val_step_context():
                    logits, targets = module(trainer.strategy.batch_to_device(batch))
                for index, scores, aimed in zip(batch["example_index"].tolist(), logits, targets, strict=True):
                    if index != FILLER and (aimed != IGNORE_INDEX).any():
                        yield (number, index), scores[aimed != IGNORE_INDEX].float().log_softmax(-1)
