"""Load and tokenise named datasets, check that they fit the model, and say what was cut or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lightning_untrac.data.chat import bos_is_a_turns_mark
from lightning_untrac.data.coin_flip import flip_note
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.report_texts import report_texts
from lightning_untrac.data.sampling import examples_by_share
from lightning_untrac.data.sources import expand
from lightning_untrac.data.tokenization import tokenize
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.data.tokenizers import tokenizer_fingerprint
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.naming import self_name
from lightning_untrac.tasks import LANGUAGE, Task


class ModelFacts(Protocol):
    """What the data must know of the model; every ``LanguageModule`` has it (see :class:`Facts`)."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""

    @property
    def is_seq2seq(self) -> bool:
        """Whether the model has an encoder and a decoder."""

    @property
    def context_length(self) -> int | None:
        """Most tokens that it takes, or None."""

    @property
    def vocabulary_size(self) -> int:
        """Entries of its vocabulary."""


@dataclass(frozen=True)
class Facts:
    """A copy of :class:`ModelFacts`, looked up once.

    Attributes:
        tokenizer: of transformers.
        is_seq2seq: whether the model has an encoder and a decoder.
        context_length: most tokens that it takes (of a source, for an encoder-decoder), or None.
        vocabulary_size: entries of its vocabulary.
        target_context_length: most tokens of an encoder-decoder's target, or None.
        task: what the model is for.
    """

    tokenizer: Any
    is_seq2seq: bool
    context_length: int | None
    vocabulary_size: int
    target_context_length: int | None = None
    task: Task = LANGUAGE

    @property
    def targets_apart(self) -> bool:
        """Whether targets are no part of the inputs: an encoder-decoder's, and classes."""
        return self.is_seq2seq or self.task.classifies

    @classmethod
    def of(cls, model: ModelFacts) -> Facts:
        """Look a model's facts up.

        Raises:
            ConfigurationError: if the model or its tokenizer can't be found.
        """
        tokenizer, context = model.tokenizer, model.context_length
        target = getattr(model, "target_context_length", context)
        task = getattr(model, "task", LANGUAGE)
        return cls(tokenizer, model.is_seq2seq, context, model.vocabulary_size, target, task)

    def identity(self) -> tuple[Any, ...]:
        """Equal for two models whose data would come out alike."""
        fingerprint = tokenizer_fingerprint(self.tokenizer)
        lengths = self.context_length, self.vocabulary_size, self.target_context_length
        return fingerprint, self.is_seq2seq, *lengths, self.task


def prepare_datasets(
    configs: Sequence[DatasetConfig],
    facts: Facts | None,
    how: TokenizationConfig | None,
    cache_folder: Path,
    alternatives_from: str | None = None,
    *,
    whole: bool,
) -> tuple[dict[str, TokenizedDataset], list[str]]:
    """Load, tokenise and check datasets.

    Args:
        configs: the datasets.
        facts: of the model; None where it has problems of its own, so that at least the sources are checked.
        how: see :class:`TokenizationConfig`; None where ``facts`` is.
        cache_folder: where token ids are kept.
        alternatives_from: where other answers come from for datasets that name none.
        whole: whether examples reach the model whole, or are packed into blocks of a length of their own.

    Returns:
        The datasets by name, and what is wrong with them or with the ones that are missing.
    """
    datasets: dict[str, TokenizedDataset] = {}
    problems: list[str] = []
    names: set[str] = set()
    given = Counter(config.name for config in configs)  # a name given twice is said of the configuration
    for config in configs:
        try:
            for entry, rows in expand([config], cache_folder):
                if entry.name in names and given[entry.name] < 2:
                    problems.append(
                        f"the name {entry.name!r} is made twice; give `split_by` entries names of their own"
                    )
                names.add(str(entry.name))
                if facts is None or how is None:
                    continue
                try:
                    dataset = tokenize(entry, rows, facts.tokenizer, how, cache_folder, alternatives_from)
                except ConfigurationError as error:
                    problems += [problem for problem in error.problems if problem not in problems]
                    continue
                problems += fit_problems(dataset, facts, whole=whole)
                others = [one.examples for one in dataset.other_answers.values()]
                for other in [*filter(None, [dataset.alternative]), *others]:
                    problems += fit_problems(other, facts, whole=whole)
                datasets[dataset.name] = dataset
        except ConfigurationError as error:
            problems += error.problems
    return datasets, problems


def self_test_sets(corpora: Sequence[DatasetConfig], num_examples: int) -> list[DatasetConfig]:
    """At most so many examples of each corpus, as test sets whose right answer is known."""
    return [
        replace(
            config,
            name=self_name(str(config.name)),
            num_examples=min(num_examples, config.num_examples or num_examples),
            copies=None,
            share=None,
        )
        for config in corpora
    ]


def length_problems(facts: Facts, max_length: int | None, block_size: int | None) -> list[str]:
    """Which of the lengths asked for exceed the model's context."""
    limits = (facts.context_length, facts.target_context_length if facts.is_seq2seq else facts.context_length)
    limit = None if None in limits else max(limits)  # type: ignore[type-var]
    return [
        f"data.{name}: {value} exceeds the model's context of {limit}"
        for name, value in (("max_length", max_length), ("block_size", block_size))
        if limit is not None and value is not None and value > limit
    ]


def copies_problems(corpora: Sequence[DatasetConfig]) -> list[str]:
    """Which corpora have copies of single texts, where all are packed into blocks."""
    return [
        f"corpora[{index}] ({config.name}): copies are of single texts, and data.block_size packs corpora into "
        "blocks; set data.block_size: null"
        for index, config in enumerate(corpora)
        if config.copies is not None
    ]


def fit_problems(dataset: TokenizedDataset, facts: Facts, *, whole: bool) -> list[str]:
    """What of a dataset the model can't take: token ids that it doesn't know, examples longer than its context.

    Args:
        dataset: the dataset, cut or not.
        facts: of the model.
        whole: whether examples reach the model whole.
    """
    found = []
    if dataset.max_token >= facts.vocabulary_size:
        found.append(
            f"{dataset.name}: the tokenizer makes token id {dataset.max_token}, but the model's vocabulary has "
            f"{facts.vocabulary_size} entries; use the tokenizer that belongs to the model"
        )
    limit = facts.context_length
    if whole and limit is not None and dataset.longest_source_after_cut > limit:
        found.append(
            f"{dataset.name}: an example has {dataset.longest} tokens, more than the model's context of {limit}; "
            "set data.max_length to cut such examples"
            + ("" if facts.targets_apart else ", or data.block_size to pack corpora")
        )
    limit = facts.target_context_length
    if facts.is_seq2seq and limit is not None and dataset.longest_target_after_cut > limit:
        found.append(
            f"{dataset.name}: a target has {dataset.longest_target_after_cut} tokens, more than the model's context of "
            f"{limit} for targets; set data.max_length to cut such examples"
        )
    return found


def dataset_notes(dataset: TokenizedDataset, max_length: int | None) -> list[str]:
    """What of a dataset was cut, left out or asked for in vain, a sentence each."""
    found = []
    total, source, wanted = len(dataset), dataset.num_source_examples, dataset.config.num_examples
    if dataset.num_truncated:
        found.append(f"{dataset.name}: {dataset.num_truncated} of {total} examples were cut to {max_length} tokens")
    if source > total:
        found.append(f"{dataset.name}: {source - total} of {source} examples had nothing to predict and were left out")
    if dataset.flipped is not None:
        source, kept = dataset.flipped.canaries, source
        found.append(flip_note(dataset.name, dataset.flipped, kept))
    if wanted is not None and source < wanted:
        found.append(f"{dataset.name}: has {source} examples, fewer than the {wanted} asked for; all were used once")
    return found


def document_start_notes(facts: Facts, configs: Sequence[DatasetConfig], wanted: str | None) -> list[str]:
    """Whether documents begin with what the chat template puts before each turn, without anyone having asked for it."""
    plain = any(config.messages is None for config in configs)
    if facts.targets_apart or wanted is not None or not plain or not bos_is_a_turns_mark(facts.tokenizer):
        return []
    return [
        f"texts begin with the tokenizer's BOS, {facts.tokenizer.bos_token}, which its chat template puts before every "
        "turn; if documents began otherwise in training, set data.document_start to what they began with"
    ]


def share_notes(sizes: Mapping[str, int], shares: Sequence[float]) -> list[str]:
    """Which corpora come more than once into a pass of the mixture, because their share is more than what they have."""
    counts = examples_by_share(shares, sum(sizes.values()))
    return [
        f"{name}: its share of the mixture asks for {count} examples (or blocks) a pass and it has {size}, so some are "
        "repeated within a pass"
        for (name, size), count in zip(sizes.items(), counts, strict=True)
        if count > size
    ]


def data_rows(
    datasets: Mapping[str, Sequence[TokenizedDataset]], facts: ModelFacts, num_texts: int = 0
) -> list[dict[str, Any]]:
    """What a report says about each dataset.

    Args:
        datasets: by role (``corpus``, ``test set``, ``forget set``, ``holdout``).
        facts: of the model, whose tokenizer reads the texts.
        num_texts: how many texts of each dataset are quoted.
    """
    return [
        {
            "name": dataset.name,
            "role": role,
            "num_examples": len(dataset),
            "num_tokens": dataset.num_targets,
            "truncated": dataset.num_truncated,
            "source": dataset.config.path,
            **({"texts": report_texts(dataset, facts.tokenizer, num_texts, facts.is_seq2seq)} if num_texts else {}),
        }
        for role, of_role in datasets.items()
        for dataset in of_role
    ]
