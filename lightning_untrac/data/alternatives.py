"""Other answers to the prompts of a dataset, row for row beside its examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightning_untrac.data.config import SAMPLES
from lightning_untrac.data.episodes import UNLEARNING, EpisodeKind
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX


class WrittenAnswers(TokenizedDataset):
    """Other answers that were made of tokens, beside the prompts of a dataset.

    Args:
        dataset: whose prompts they answer.
        answers: tokens of each, row for row.
        seq2seq: whether prompts and answers go into a model apart.
    """

    def __init__(self, dataset: TokenizedDataset, answers: Sequence[np.ndarray], seq2seq: bool) -> None:
        self.name, self.config = f"{dataset.name}.alternative", dataset.config
        self.dataset, self.answers, self.seq2seq = dataset, answers, seq2seq

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        row, answer = self.dataset[index], self.answers[index]
        if self.seq2seq:
            return {"input_ids": row["input_ids"], "labels": answer}
        begin = int(np.argmax(row["labels"] != IGNORE_INDEX))
        ignored = np.full(begin, IGNORE_INDEX, dtype=np.int32)
        return {
            "input_ids": np.concatenate([row["input_ids"][:begin], answer]),
            "labels": np.concatenate([ignored, answer]),
        }

    def lengths(self) -> np.ndarray:
        """See the base class."""
        return np.array([len(self[index]["input_ids"]) for index in range(len(self))])

    def target_counts(self) -> np.ndarray:
        """See the base class."""
        return np.array([len(answer) for answer in self.answers], dtype=np.int64)


def alternatives(
    datasets: Sequence[TokenizedDataset], chosen: Sequence[np.ndarray | None] | None = None
) -> Concatenation:
    """The other answers of several datasets, in the order of their examples.

    Args:
        datasets: which all have some.
        chosen: of each, the indices that count, or None for all of them; None for all of every one.

    Raises:
        ConfigurationError: if one has none.
    """
    found = [dataset.alternative for dataset in datasets]
    if problem := _without(datasets):
        raise ConfigurationError([problem])
    return Concatenation([one for one in found if one is not None], chosen)


def alternative_problems(
    kind: EpisodeKind, datasets: Sequence[TokenizedDataset], packed: Sequence[str], alternatives_from: str | None
) -> list[str]:
    """Why there is no other answer to each prompt that is unlearned.

    Args:
        kind: of the episodes.
        datasets: which are unlearned.
        packed: names of those that are stepped on in blocks.
        alternatives_from: where other answers come from for datasets that name none.
    """
    if kind not in UNLEARNING:
        return [f"model.unlearning_objective: it needs alternatives, and {kind} episodes unlearn nothing; leave it out"]
    later = alternatives_from == SAMPLES  # of prompts, once there is a model
    problem = _without([one for one in datasets if not (later and one.config.prompt)])
    found = [problem] if problem else []
    if packed:
        found.append(
            f"data.block_size: {', '.join(packed)} is packed into blocks, and a block has no alternative; set "
            "data.block_size: null, or give the dataset under data.forget, which is never packed"
        )
    return found


def _without(datasets: Sequence[TokenizedDataset]) -> str:
    names = [dataset.name for dataset in datasets if dataset.alternative is None]
    if not names:
        return ""
    return (
        f"data: the objective needs an alternative to each answer, and {', '.join(names)} "
        f"{'has none; name its' if len(names) == 1 else 'have none; name their'} "
        "columns, e.g. {prompt: question, target: answer, alternative: refusal}, or alternative: builtin:refusals"
    )
