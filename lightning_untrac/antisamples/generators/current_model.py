"""The model that is unlearned writes its own anti-samples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from typing_extensions import override

from lightning_untrac.antisamples.generators.generator import Asked, Generator, Written
from lightning_untrac.antisamples.ranks import shared_out
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.question_frame import QuestionFrame
from lightning_untrac.modules.continuations import answer_after, continuations
from lightning_untrac.sharding import is_sharded


class CurrentModel(Generator):
    """Ask the model as it is now, through its own chat template where it has one. UnSTAR's own way.

    Ranks share the texts out, unless they share the weights: then each writes them all.

    Args:
        frame: how questions are put to it; by default in its chat template, or as a prompt and a space.
        before_unlearning: ask the model from before the first step instead.
    """

    name = "current_model"

    def __init__(self, frame: QuestionFrame | None = None, before_unlearning: bool = False) -> None:
        self.frame, self.before_unlearning = frame, before_unlearning
        self._module: Any = None

    @override
    def attach(self, module: Any) -> None:
        self._module = module
        if self.frame is None:
            how = TokenizationConfig(module.is_seq2seq, document_start=module.trainer.datamodule.document_start)
            self.frame = QuestionFrame(module.tokenizer, how, chat=bool(module.tokenizer.chat_template))

    @override
    def write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        module, frame = self._module, self.frame
        assert frame is not None
        ranks = 1 if is_sharded(module.model) else module.trainer.world_size

        def own(part: Sequence[Asked]) -> list[Written]:
            prompts = [frame.prompt(one.text) for one in part]
            chances = [np.random.default_rng(one.draw) for one in part] if temperature > 0 else None
            size = getattr(module.trainer.datamodule, "eval_batch_size", 16)
            with module.reference.in_place() if self.before_unlearning else nullcontext():
                found = continuations(module, prompts, longest, chances, temperature or 1.0, size)
            return [self._written(prompt, ids, longest) for prompt, ids in zip(prompts, found, strict=True)]

        return shared_out(asked, own, module.trainer.global_rank if ranks > 1 else 0, ranks)

    def _written(self, prompt: Sequence[int], ids: Sequence[int], longest: int) -> Written:
        text, ended = answer_after(self._module, prompt, ids)
        return Written(text, ended or len(ids) < longest, len(ids))
