"""Other answers in a model's own words, drawn once before the first step."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from lightning_untrac.data.alternatives import WrittenAnswers
from lightning_untrac.data.config import SAMPLES
from lightning_untrac.data.episodes import UNLEARNING
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.modules.continuations import ending_tokens, until_end
from lightning_untrac.naming import counted

if TYPE_CHECKING:
    from lightning_untrac.data.tokenized import TokenizedDataset

MOST_TOKENS: Final = 200


class OwnAnswers:
    """Gives the datasets that are to be forgotten other answers, sampled from the model before unlearning.

    Each is drawn by the example's text and the episode's seed alone, so that ranks share the work and get the same.
    Where weights are sharded every rank draws all of them instead: ranks gather the weights for each token together,
    and prompts of unequal lengths would have them wait for one another for ever.

    Args:
        module: an ``Unlearning``.

    Attributes:
        doubts: what a user should know of the draws, a sentence each.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self._answers: dict[str, list[np.ndarray]] = {}
        self.doubts: list[str] = []

    def prepare(self) -> None:
        """Draw what is needed and not yet known; call it on every rank, before any loader is made."""
        module = self.module
        if module.alternatives_from != SAMPLES:
            return
        data: Any = getattr(module.trainer, "datamodule", None)
        plan = getattr(data, "active_plan", None)
        if plan is None or plan.kind not in UNLEARNING:
            return
        data.prepare(module)
        for name in plan.datasets(*data.episode_names(plan)):
            dataset = data.tokenized[name]
            if dataset.alternative is None or isinstance(dataset.alternative, WrittenAnswers):
                if name not in self._answers:
                    self._answers[name] = self._of(dataset, int(plan.seeds[0]))
                dataset.alternative = WrittenAnswers(dataset, self._answers[name], module.is_seq2seq)
                self._count_same(dataset, self._answers[name])

    def _count_same(self, dataset: TokenizedDataset, answers: list[np.ndarray]) -> None:
        """Note where no draw gave another answer: there nothing is preferred to what is to be forgotten."""
        same = 0
        for index, other in enumerate(answers):
            labels = dataset[index]["labels"]
            own = labels if self.module.is_seq2seq else labels[int(np.argmax(labels != IGNORE_INDEX)) :]
            same += np.array_equal(other, own)
        self.doubts = [one for one in self.doubts if not one.startswith(f"{dataset.name}: ")]
        if same:
            self.doubts.append(
                f"{dataset.name}: for {same} of {counted(len(answers), 'example')} every draw of the model gave the "
                "answer that is to be forgotten, which then stands for another one and teaches nothing; give other "
                "answers in a column (`alternative`), or take more samples"
            )

    def clear(self) -> None:
        """Forget them: another fit may begin from another model."""
        self._answers = {}

    def _of(self, dataset: TokenizedDataset, seed: int) -> list[np.ndarray]:
        strategy = self.module.trainer.strategy
        rank, ranks = self.module.trainer.global_rank, self.module.trainer.world_size
        if self.module.parts.sharded:
            rank, ranks = 0, 1
        context = self.module.trainer.precision_plugin.val_step_context
        with self.module.without_dropout(), torch.no_grad(), context():
            mine = {index: self._one(dataset, index, seed) for index in range(rank, len(dataset), ranks)}
        found: dict[int, np.ndarray] = {}
        for source in range(ranks):
            found |= strategy.broadcast(mine, src=source)  # of sharded weights the first rank's, should one differ
        return [found[index] for index in range(len(dataset))]

    def _one(self, dataset: TokenizedDataset, index: int, seed: int) -> np.ndarray:
        """The first continuation that is not the answer; the answer itself, which does no harm, where all are."""
        module = self.module
        row = dataset[index]
        ids, targets = row["input_ids"], row["labels"]
        begin = 0 if module.is_seq2seq else int(np.argmax(targets != IGNORE_INDEX))
        prompt, answer = (ids, targets) if module.is_seq2seq else (ids[:begin], ids[begin:])
        room = (module.target_context_length if module.is_seq2seq else module.context_length) or math.inf
        ends = ending_tokens(module)
        keeps_end = int(answer[-1]) in ends
        longest = int(min(MOST_TOKENS, math.ceil(1.5 * len(answer)), room - begin)) - keeps_end
        if longest < 1:
            return answer.astype(np.int32)
        digest = hashlib.sha256(f"{seed}\x1f{dataset.content_hash(index)}".encode()).digest()
        device = module.trainer.strategy.root_device
        given = torch.as_tensor(prompt.astype(np.int64), device=device)[None]  # a copy: what is read lies in a file
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int.from_bytes(digest[:7], "big"))
            made = module.model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=module.unlearning_objective.forget.samples,
                max_new_tokens=longest,
                use_cache=not module.is_seq2seq,  # transformers makes a decoder's as deep as the encoder
                eos_token_id=ends or None,
                pad_token_id=padding_token(module.tokenizer, module.vocabulary_size),
                synced_gpus=module.parts.sharded,  # no rank ends a token before the others
            )
        begin = 1 if module.is_seq2seq else len(prompt)  # a decoder's first token is no answer
        for one in made.cpu().numpy()[:, begin:]:
            words = until_end(one, ends)
            if len(words) and keeps_end:
                words = np.append(words, answer[-1])
            if len(words) and not np.array_equal(words, answer):
                return words.astype(np.int32)
        return answer.astype(np.int32)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What was drawn: a run that goes on has other weights already."""
        return {name: [torch.from_numpy(one) for one in answers] for name, answers in self._answers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._answers = {name: [one.numpy() for one in answers] for name, answers in state.items()}
