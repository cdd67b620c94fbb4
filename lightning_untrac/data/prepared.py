"""The DataModule's first half: load and tokenise the datasets once the model is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from lightning_untrac.data.alternatives import alternative_problems
from lightning_untrac.data.arrow_cache import clear_cache, default_cache_folder
from lightning_untrac.data.class_checks import one_class_problems
from lightning_untrac.data.config import ROLES, DatasetConfig, config_problems, unseen_names
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.episodes import NAMED, EpisodePlan
from lightning_untrac.data.forget_set import ForgetChoice, take_apart
from lightning_untrac.data.labels import each_for_task
from lightning_untrac.data.loading import Concatenation, Examples
from lightning_untrac.data.preparation import (
    Facts,
    ModelFacts,
    copies_problems,
    length_problems,
    prepare_datasets,
    self_test_sets,
)
from lightning_untrac.data.tokenized import PackedBlocks, TokenizedDataset
from lightning_untrac.errors import ConfigurationError, raise_if_any


class PreparedDataModule(L.LightningDataModule):
    """Named corpora and test sets, tokenised for the model that a Trainer fits; a subclass serves them.

    Attributes:
        tokenized_corpora: the corpora by name, once :meth:`prepare` has run.
        tokenized_test_sets: the test sets by name.
        tokenized_forget: what is neither traced nor retained, by name: ``data.forget``, and the examples of a corpus
            that :meth:`choose` took out of it.
        tokenized_holdout: what is never stepped on, by name.
        choice: those examples, if any.
        part: what training steps on in place of its corpora; None for those.
        never_shots: names of further datasets that are shown before no question, beside those that a plan forgets.
        alternatives_from: where other answers come from for datasets that name none, as the objective asks.
    """

    alternatives_from: str | None = None
    never_shots: tuple[str, ...] = ()

    corpora: list[DatasetConfig]
    test_sets: list[DatasetConfig]
    forget: list[DatasetConfig]
    holdout: list[DatasetConfig]
    batch_size: int | None
    eval_batch_size: int
    block_size: int | None
    max_length: int | None
    append_eos: bool
    document_start: str | None
    per_example: bool
    corpus_eval_examples: int | None
    retained_per_example: int
    self_examples: int | None
    cache_folder: str | None

    def __init__(self) -> None:
        super().__init__()
        self.tokenized_corpora: dict[str, TokenizedDataset] = {}
        self.tokenized_test_sets: dict[str, TokenizedDataset] = {}
        self.tokenized_forget: dict[str, TokenizedDataset] = {}
        self.tokenized_holdout: dict[str, TokenizedDataset] = {}
        self.choice: ForgetChoice | None = None
        self.part: Concatenation | None = None
        self._facts: Facts | None = None
        self._prepared_for: ModelFacts | None = None
        self._identity: tuple[Any, ...] | None = None

    def problems(self) -> list[str]:
        """What is wrong before any file is opened."""
        found = config_problems(self.corpora, self.test_sets, self.forget, self.holdout)
        counts = ("batch_size", "eval_batch_size", "corpus_eval_examples", "retained_per_example", "self_examples")
        leasts = dict.fromkeys(counts, 1) | {"block_size": 3, "max_length": 2, "num_workers": 0, "report_texts": 0}
        for name, least in leasts.items():
            value = getattr(self, name, None)
            if value is not None and value < least:
                found.append(f"data.{name}: {value} is too small; give at least {least}")
        if self.self_examples is not None:
            found += [
                f"corpora[{index}]: data.self_examples names test sets after the corpora; give this one a `name`"
                for index, config in enumerate(self.corpora)
                if config.name is None
            ]
        return found

    def choose(self, choice: ForgetChoice | None) -> None:
        """Take chosen examples of a corpus out of it, as a dataset of their own that can be forgotten.

        Args:
            choice: which examples; None for none. The next :meth:`prepare` looks them up.
        """
        self.choice, self._prepared_for, self._identity = choice, None, None

    @property
    def corpus_names(self) -> list[str]:
        """Names of the corpora, in the order of the tables."""
        return list(self.tokenized_corpora)

    @property
    def test_set_names(self) -> list[str]:
        """Names of the test sets, in the order of the tables."""
        return list(self.tokenized_test_sets)

    @property
    def beside_names(self) -> list[str]:
        """Names of the datasets that are measured beside corpora and test sets, and never traced or retained."""
        return [*self.tokenized_forget, *self.tokenized_holdout]

    def unseen_names(self, name: str) -> list[str]:
        """The holdouts that show the level of unseen text for a dataset.

        Args:
            name: of the dataset.
        """
        return unseen_names(name, {one: dataset.config.twinned for one, dataset in self.tokenized_holdout.items()})

    @property
    def tokenized(self) -> dict[str, TokenizedDataset]:
        """All datasets by name."""
        return {dataset.name: dataset for datasets in self.by_role().values() for dataset in datasets}

    def by_role(self) -> dict[str, list[TokenizedDataset]]:
        """All datasets by what they are, in the words of the report."""
        return {
            "corpus": list(self.tokenized_corpora.values()),
            "test set": list(self.tokenized_test_sets.values()),
            "forget set": list(self.tokenized_forget.values()),
            "holdout": list(self.tokenized_holdout.values()),
        }

    def episode_names(self, plan: EpisodePlan) -> tuple[list[str], list[str]]:
        """Names of the corpora, and of the other datasets that a plan's episodes may be of."""
        forget = list(self.tokenized_forget) if plan.kind in NAMED else []
        return self.corpus_names, self.test_set_names + forget

    def all_test_sets(self) -> list[DatasetConfig]:
        """Those that were given, and a part of each corpus where ``self_examples`` asks for it."""
        return [*self.test_sets, *(self_test_sets(self.corpora, self.self_examples) if self.self_examples else ())]

    def prepare(self, facts: ModelFacts) -> None:
        """Load and tokenise everything and check that it fits the model; a second call for a like model does nothing.

        Args:
            facts: tokenizer, context length and vocabulary of the model, such as any ``LanguageModule``.

        Raises:
            ConfigurationError: with every problem of the options, of the model's tokenizer and of every dataset.
        """
        if facts is self._prepared_for:
            return
        problems = self.problems()
        known: Facts | None = None
        try:
            known = Facts.of(facts)
            self.alternatives_from = getattr(facts, "alternatives_from", self.alternatives_from)
            identity = (*known.identity(), self.alternatives_from)
            if self._identity == identity:
                self._prepared_for = facts
                return
        except ConfigurationError as error:
            problems += error.problems
        packs = known is not None and self._packs(known)
        if known is not None:
            problems += length_problems(known, self.max_length, self.block_size if packs else None)
        problems += copies_problems(self.corpora) if packs else []
        corpora, found = self._prepared(self.corpora, known, packed=packs)
        test_sets, test_problems = self._prepared(self.all_test_sets(), known, packed=False)
        forget, forget_problems = self._prepared(self.forget, known, packed=False)
        holdout, holdout_problems = self._prepared(self.holdout, known, packed=False)
        problems += found + test_problems + forget_problems + holdout_problems
        problems += self._name_problems({
            "a corpus": corpora, "a test set": test_sets, "a forget set": forget, "a holdout": holdout
        })  # fmt: skip
        if known is not None and known.task.classifies and not problems:
            problems += one_class_problems(corpora.values(), known.task)
        if self.choice is not None:
            parts, others = (forget, corpora) if self.choice.of_forget else (corpora, forget)
            parts, chosen, found = self._taken_apart(parts, {**test_sets, **others, **holdout}, known)
            problems += found
            corpora, forget = (others, parts | chosen) if self.choice.of_forget else (parts, others | chosen)
        raise_if_any(dict.fromkeys(problems))
        self.tokenized_forget, self.tokenized_holdout = forget, holdout
        self._facts, self._prepared_for, self._identity = known, facts, identity
        self.tokenized_corpora, self.tokenized_test_sets = corpora, test_sets

    def _name_problems(self, datasets: dict[str, dict[str, TokenizedDataset]]) -> list[str]:
        told = [config.name for role in ROLES for config in getattr(self, role)]
        found = []
        for (one, mine), (other, theirs) in combinations(datasets.items(), 2):
            both = sorted(name for name in mine.keys() & theirs.keys() if told.count(name) < 2)
            found += [f"the name {name!r} is both {one} and {other}" for name in both]
        return found

    def _taken_apart(
        self, corpora: dict[str, TokenizedDataset], others: dict[str, TokenizedDataset], facts: Facts | None
    ) -> tuple[dict[str, TokenizedDataset], dict[str, TokenizedDataset], list[str]]:
        choice = self.choice
        assert choice is not None
        if facts is not None and self._packs(facts) and not choice.of_forget:
            return corpora, {}, [
                f"{choice.option}: examples are chosen, and data.block_size {self.block_size} packs the corpora into "
                "blocks that hold parts of several; set data.block_size: null"
            ]  # fmt: skip
        if choice.corpus not in corpora:
            if facts is None or choice.corpus in {config.name for config in self.corpora}:
                return corpora, {}, []  # what is wrong with it is said already
            what = "another dataset" if choice.corpus in others else "no corpus"
            there = ", ".join(corpora) or "none"
            return corpora, {}, [
                f"{choice.option}: examples are chosen from a corpus, and {choice.corpus!r} is {what}; corpora: {there}"
            ]  # fmt: skip
        parts, chosen, found = take_apart(corpora, choice)
        if taken := {choice.chosen, choice.rest} & others.keys():
            found.append(f"{choice.option}: another dataset is named {sorted(taken)[0]!r} already; rename it")
        return parts, {} if chosen is None else {chosen.name: chosen}, found

    def _prepared(
        self, configs: Sequence[DatasetConfig], facts: Facts | None, packed: bool
    ) -> tuple[dict[str, TokenizedDataset], list[str]]:
        # Examples are cut, blocks are not; per_example asks for examples of the packed corpora too.
        whole = not packed or self.per_example
        how = None
        if facts is not None:
            how = TokenizationConfig(
                facts.is_seq2seq, self.max_length if whole else None, self.append_eos, self.document_start, facts.task
            )
        sound = [config for config in configs if not config.problems("")]
        sound, wrong = (sound, []) if facts is None else each_for_task(sound, facts.task)
        found, problems = prepare_datasets(
            sound, facts, how, self._cache_folder(), whole=whole, alternatives_from=self.alternatives_from
        )
        return found, wrong + problems

    def prepare_data(self) -> None:
        """Fill the cache, in one process of each machine."""
        self.prepare(self._attached_model())

    def _attached_model(self) -> ModelFacts:
        module: Any = self.trainer.lightning_module if self.trainer is not None else None
        if hasattr(module, "tokenizer"):
            return module
        if self._prepared_for is not None:
            return self._prepared_for
        raise ConfigurationError(["data: not attached to a Trainer with a LanguageModule; call prepare(module) first"])

    def _known(self) -> Facts:
        if self._facts is None:
            self.prepare(self._attached_model())
        assert self._facts is not None
        return self._facts

    def _cache_folder(self) -> Path:
        return Path(self.cache_folder).expanduser() if self.cache_folder is not None else default_cache_folder()

    def clear_cache(self) -> None:
        """Delete the cached rows and token ids."""
        clear_cache(self._cache_folder())

    def is_packed(self, name: str) -> bool:
        """Whether a dataset is stepped on in blocks."""
        return name in self.tokenized_corpora and self._packs(self._known())

    def training_examples(self, name: str) -> Examples:
        """What an episode steps on: blocks of a packed corpus, examples otherwise."""
        dataset = self.tokenized[name]
        if self.is_packed(name):
            assert self.block_size is not None
            return PackedBlocks(dataset, self.block_size)
        return dataset

    def mixture(self, names: Sequence[str]) -> Concatenation:
        """What training on some datasets steps on, each example as many times as it stands in training."""
        chosen = [self.tokenized[name].in_training() for name in names]
        return Concatenation(list(map(self.training_examples, names)), chosen)

    def alternative_problems(self, plan: EpisodePlan, retained: bool = False) -> list[str]:
        """Why there is no other answer to each prompt that a plan unlearns, or retains.

        Args:
            plan: which need not be the one that is served.
            retained: whether it is those that it retains.
        """
        known = self.tokenized
        names = [name for name in plan.datasets(*self.episode_names(plan)) if name in known]
        if retained:
            names = list(dict.fromkeys(kept for name in names for kept in plan.retained(name, self.corpus_names)))
        packed = [name for name in names if self.is_packed(name)]
        source = None if retained else self.alternatives_from
        return alternative_problems(plan.kind, [known[name] for name in names], packed, source)

    def _packs(self, facts: Facts) -> bool:
        return self.block_size is not None and not facts.targets_apart
