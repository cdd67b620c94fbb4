"""The DataModule: named corpora and test sets, one episode an epoch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as L
import numpy as np
from torch.utils.data import DataLoader

from lightning_untrac.data.collator import Collator
from lightning_untrac.data.config import DatasetConfig, config_problems
from lightning_untrac.data.episodes import DEFAULT_BATCH_SIZES, Episode, EpisodePlan
from lightning_untrac.data.loading import Concatenation, EpisodeDataLoader, Examples
from lightning_untrac.data.sampling import EpisodeBatchSampler, evaluation_batches
from lightning_untrac.data.sources import expand
from lightning_untrac.data.tokenization import PackedBlocks, TokenizationConfig, TokenizedDataset, tokenize
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.errors import ConfigurationError, raise_if_any


class ModelFacts(Protocol):
    """What the data must know of the model; every ``LanguageModule`` has it."""

    tokenizer: Any
    is_seq2seq: bool
    context_length: int | None
    vocabulary_size: int


class CorpusDataModule(L.LightningDataModule):
    """Named corpora and test sets for tracing, retraining, unlearning and evaluating.

    The LightningModule that is fitted says which episodes it needs (pretraining the mixture, unlearning each corpus);
    ``plan`` says otherwise. The Trainer's ``max_epochs`` is the number of episodes and
    ``reload_dataloaders_every_n_epochs`` is 1; both are checked. Readings measure all evaluated datasets in one loader,
    longest examples first.

    Args:
        corpora: the training datasets whose influence is asked for.
        test_sets: the datasets that show a behaviour.
        batch_size: examples (or blocks) of a training micro-batch on one device; by default the paper's for tracing (1
            for UnTrac, 256 for UnTrac-Inv) and 8 elsewhere. A batch never holds an example twice: where it exceeds the
            dataset, it is the whole dataset.
        eval_batch_size: examples of a reading's batch on one device; changes speed only.
        block_size: pack the corpora of a causal model into blocks of this many tokens, documents after one another;
            None trains on one example a row.
        max_length: cut examples to this many tokens, and say how many were cut; None refuses examples longer than
            the model's context. Packed corpora are never cut.
        append_eos: end causal documents in EOS, for tokenizers that begin them with another token.
        per_example: read corpora (UnTrac-Inv) example by example even where they are packed for training.
        corpus_eval_examples: read at most this many blocks or examples of each corpus (UnTrac-Inv), drawn once; a few
            hundred are enough for a corpus' mean.
        num_workers: processes that assemble batches; 0 is right unless examples are very long.
        cache_folder: where token ids are kept; by default inside the ``datasets`` cache.
        plan: which episodes to serve.

    Raises:
        ConfigurationError: on ``prepare`` or ``setup``, with every problem of every dataset in one message.
    """

    def __init__(
        self,
        corpora: list[DatasetConfig] | None = None,
        test_sets: list[DatasetConfig] | None = None,
        *,
        batch_size: int | None = None,
        eval_batch_size: int = 32,
        block_size: int | None = None,
        max_length: int | None = None,
        append_eos: bool = False,
        per_example: bool = False,
        corpus_eval_examples: int | None = None,
        num_workers: int = 0,
        cache_folder: str | None = None,
        plan: EpisodePlan | None = None,
    ) -> None:
        super().__init__()
        self.corpora = list(corpora or [])
        self.test_sets = list(test_sets or [])
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.block_size, self.max_length, self.append_eos = block_size, max_length, append_eos
        self.per_example, self.corpus_eval_examples = per_example, corpus_eval_examples
        self.num_workers = num_workers
        self.cache_folder = cache_folder
        self.plan = plan
        self.tokenized_corpora: dict[str, TokenizedDataset] = {}
        self.tokenized_test_sets: dict[str, TokenizedDataset] = {}
        self._facts: ModelFacts | None = None

    # -- preparing -------------------------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """What is wrong before any file is opened."""
        found = config_problems(self.corpora, self.test_sets)
        for name in ("batch_size", "eval_batch_size", "block_size", "max_length", "corpus_eval_examples"):
            value = getattr(self, name)
            if value is not None and value < (2 if name in ("block_size", "max_length") else 1):
                found.append(f"data.{name}: {value} is too small")
        return found

    def prepare(self, facts: ModelFacts) -> None:
        """Load and tokenise everything and check that it fits the model.

        Args:
            facts: tokenizer, context length and vocabulary of the model, such as any ``LanguageModule``.

        Raises:
            ConfigurationError: with every problem found.
        """
        if self.tokenized_corpora or self.tokenized_test_sets:
            return
        self._facts = facts
        raise_if_any(self.problems())
        corpora, corpus_problems = self._tokenized(self.corpora, facts, packed=self._packs(facts))
        test_sets, test_problems = self._tokenized(self.test_sets, facts, packed=False)
        problems = corpus_problems + test_problems
        problems += [f"the name {n!r} is both a corpus and a test set" for n in corpora.keys() & test_sets.keys()]
        if self._packs(facts) and facts.context_length is not None and (self.block_size or 0) > facts.context_length:
            problems.append(f"data.block_size: {self.block_size} exceeds the model's context of {facts.context_length}")
        if self.max_length is not None and facts.context_length is not None and self.max_length > facts.context_length:
            problems.append(f"data.max_length: {self.max_length} exceeds the model's context of {facts.context_length}")
        raise_if_any(problems)
        self.tokenized_corpora, self.tokenized_test_sets = corpora, test_sets

    def prepare_data(self) -> None:
        """Fill the cache, in one process of each machine."""
        self.prepare(self._model_facts())

    def setup(self, stage: str) -> None:
        """Read the cache, in every process."""
        self.prepare(self._model_facts())
        if stage == "fit":
            raise_if_any(self._trainer_problems())

    def _model_facts(self) -> ModelFacts:
        if self._facts is not None:
            return self._facts
        if self.trainer is None:
            raise ConfigurationError(["data: not attached to a Trainer; call prepare(module) first"])
        return self.trainer.lightning_module  # type: ignore[return-value]

    def _tokenized(
        self, configs: Sequence[DatasetConfig], facts: ModelFacts, packed: bool
    ) -> tuple[dict[str, TokenizedDataset], list[str]]:
        how = TokenizationConfig(
            seq2seq=facts.is_seq2seq,
            # Examples are cut, blocks are not; per_example asks for examples of the packed corpora too.
            max_length=None if packed and not self.per_example else self.max_length,
            append_eos=self.append_eos,
        )
        datasets: dict[str, TokenizedDataset] = {}
        problems: list[str] = []
        for config in configs:
            try:
                for entry, rows in expand([config]):
                    dataset = tokenize(entry, rows, facts.tokenizer, how, self._cache_folder())
                    if dataset.name in datasets:
                        problems.append(f"the name {dataset.name!r} is made twice; give `split_by` entries other names")
                    problems += self._fit_problems(dataset, facts, packed)
                    datasets[dataset.name] = dataset
            except ConfigurationError as error:
                problems += error.problems
        return datasets, problems

    def _fit_problems(self, dataset: TokenizedDataset, facts: ModelFacts, packed: bool) -> list[str]:
        found = []
        if dataset.max_token >= facts.vocabulary_size:
            found.append(
                f"{dataset.name}: the tokenizer makes token id {dataset.max_token}, but the model's vocabulary has "
                f"{facts.vocabulary_size} entries; use the tokenizer that belongs to the model"
            )
        cut = self.max_length is not None
        if not (packed and not self.per_example) and not cut and facts.context_length is not None:
            if dataset.longest > facts.context_length:
                found.append(
                    f"{dataset.name}: an example has {dataset.longest} tokens, more than the model's context of "
                    f"{facts.context_length}; set data.max_length to cut such examples"
                    + ("" if facts.is_seq2seq else ", or data.block_size to pack corpora")
                )
        return found

    def _cache_folder(self) -> Path:
        if self.cache_folder is not None:
            return Path(self.cache_folder)
        from datasets import config

        return Path(config.HF_DATASETS_CACHE) / "lightning-untrac"

    def clear_cache(self) -> None:
        """Delete the cached token ids."""
        shutil.rmtree(self._cache_folder(), ignore_errors=True)

    def notes(self) -> list[str]:
        """What was left out or cut, a sentence each, for the report: nothing is cut in silence."""
        found = []
        for dataset in [*self.tokenized_corpora.values(), *self.tokenized_test_sets.values()]:
            total, wanted = len(dataset), dataset.config.num_examples
            if dataset.num_truncated:
                found.append(
                    f"{dataset.name}: {dataset.num_truncated} of {total} examples were cut to {self.max_length} tokens"
                )
            if dropped := dataset.num_source_examples - total:
                found.append(f"{dataset.name}: {dropped} examples with nothing to predict were left out")
            if wanted is not None and dataset.num_source_examples < wanted:
                found.append(
                    f"{dataset.name}: has {dataset.num_source_examples} examples, fewer than the {wanted} asked for; "
                    "all were used once"
                )
        return found

    # -- episodes --------------------------------------------------------------------------------------------------

    @property
    def corpus_names(self) -> list[str]:
        """Names of the corpora, in the order of the tables."""
        return list(self.tokenized_corpora)

    @property
    def test_set_names(self) -> list[str]:
        """Names of the test sets, in the order of the tables."""
        return list(self.tokenized_test_sets)

    @property
    def active_plan(self) -> EpisodePlan:
        """The plan given, or the one that the fitted module's phase asks for."""
        if self.plan is not None:
            return self.plan
        return EpisodePlan(getattr(self.trainer.lightning_module, "episode_kind", "mixture") if self.trainer else "mixture")

    def episodes(self) -> list[Episode]:
        """All episodes, in order."""
        passes = 1
        if self.trainer is not None and self.trainer.max_epochs is not None:
            passes = max(1, self.trainer.max_epochs)
        return self.active_plan.episodes(self.corpus_names, self.test_set_names, passes)

    @property
    def current_episode(self) -> Episode:
        """The episode of the Trainer's current epoch."""
        assert self.trainer is not None
        return self.episodes()[self.trainer.current_epoch]

    def _trainer_problems(self) -> list[str]:
        trainer, plan = self.trainer, self.active_plan
        assert trainer is not None
        found = plan.problems(self.corpus_names, self.test_set_names)
        if plan.kind == "mixture" or found or trainer.fast_dev_run:
            return found
        num_episodes = len(self.episodes())
        if trainer.max_epochs is None or not 0 < trainer.max_epochs <= num_episodes:
            found.append(
                f"Trainer(max_epochs={trainer.max_epochs}): an epoch is an episode and there are {num_episodes} "
                f"({len(plan.datasets(self.corpus_names, self.test_set_names))} datasets x {len(plan.seeds)} seeds); "
                f"use max_epochs={num_episodes}"
            )
        if num_episodes > 1 and trainer.reload_dataloaders_every_n_epochs != 1:
            found.append("Trainer(reload_dataloaders_every_n_epochs=1) is needed: each episode has its own data")
        if trainer.max_steps not in (-1, None):
            found.append("Trainer(max_steps=...) counts over all episodes; set the plan's `steps` (an episode's) instead")
        return found

    # -- loaders ---------------------------------------------------------------------------------------------------

    def _packs(self, facts: ModelFacts) -> bool:
        return self.block_size is not None and not facts.is_seq2seq

    def training_examples(self, name: str) -> Examples:
        """What an episode steps on: blocks of a packed corpus, examples otherwise."""
        if name in self.tokenized_test_sets:
            return self.tokenized_test_sets[name]
        dataset = self.tokenized_corpora[name]
        if self._packs(self._model_facts()):
            assert self.block_size is not None
            return PackedBlocks(dataset, self.block_size)
        return dataset

    def sampler(self, episode: Episode, accumulation: int = 1, rank: int = 0, num_replicas: int = 1) -> EpisodeBatchSampler:
        """The batches of ``episode``."""
        parts = [self.training_examples(name) for name in episode.trains_on]
        shares = None
        if len(parts) > 1 and self.tokenized_corpora[episode.trains_on[0]].config.share is not None:
            shares = [float(self.tokenized_corpora[name].config.share or 0) for name in episode.trains_on]
        return EpisodeBatchSampler(
            [len(part) for part in parts],
            batch_size=self.batch_size or DEFAULT_BATCH_SIZES.get(self.active_plan.kind, 8),
            steps=self.active_plan.steps,
            passes=self.active_plan.num_passes,
            accumulation=accumulation,
            seed=episode.seed,
            pass_index=episode.pass_index,
            shares=shares,
            rank=rank,
            num_replicas=num_replicas,
        )

    def train_dataloader(self) -> EpisodeDataLoader:
        """The loader of the current episode."""
        assert self.trainer is not None
        episode = self.current_episode
        rank, num_replicas = self._rank()
        return EpisodeDataLoader(
            Concatenation([self.training_examples(name) for name in episode.trains_on]),
            batch_sampler=self.sampler(episode, self.trainer.accumulate_grad_batches, rank, num_replicas),
            **self._loader_options(),
        )

    @property
    def evaluation_names(self) -> list[str]:
        """Names of the datasets that a reading measures, in the order of ``dataset_index``."""
        evaluates = self.active_plan.evaluates
        corpora = [] if evaluates == "test_sets" else self.corpus_names
        return corpora + ([] if evaluates == "corpora" else self.test_set_names)

    def evaluation_data(self) -> Concatenation:
        """Everything that a reading measures, the same frozen examples at every reading of every episode."""
        parts: list[Examples] = []
        chosen = []
        for name in self.evaluation_names:
            is_corpus = name in self.tokenized_corpora
            part = self.training_examples(name) if is_corpus and not self.per_example else self._examples(name)
            parts.append(part)
            indices = np.arange(len(part))
            if is_corpus and self.corpus_eval_examples is not None and len(part) > self.corpus_eval_examples:
                drawn = np.random.default_rng(0).permutation(len(part))[: self.corpus_eval_examples]
                indices = np.sort(drawn)
            chosen.append(indices)
        return Concatenation(parts, chosen)

    def _examples(self, name: str) -> TokenizedDataset:
        return self.tokenized_corpora.get(name) or self.tokenized_test_sets[name]

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The loader of a reading; empty where there is nothing to measure (pretraining without test sets)."""
        if not self.evaluation_names:
            return []
        data = self.evaluation_data()
        rank, num_replicas = self._rank()
        batches = evaluation_batches(data.lengths(), self.eval_batch_size, rank, num_replicas)
        return DataLoader(data, batch_sampler=batches, **self._loader_options())

    def _rank(self) -> tuple[int, int]:
        # How Lightning itself tells a sampler which data-parallel rank it serves (tensor-parallel ranks share one).
        options = getattr(self.trainer.strategy, "distributed_sampler_kwargs", None) if self.trainer else None
        return (options["rank"], options["num_replicas"]) if options else (0, 1)

    def _loader_options(self) -> dict[str, Any]:
        tokenizer = self._model_facts().tokenizer
        return {
            "collate_fn": Collator(padding_token(tokenizer)),
            "num_workers": self.num_workers,
            "persistent_workers": False,
            "pin_memory": bool(self.trainer and self.trainer.strategy.root_device.type == "cuda"),
        }
