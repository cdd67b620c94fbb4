"""The DataModule: named corpora and test sets, one episode an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import DataLoader

from lightning_untrac.data.alternatives import alternatives
from lightning_untrac.data.checks import data_parallel_rank, episode_problems, sampler_problems, stream_problems
from lightning_untrac.data.collator import Collator
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.coreset import coreset
from lightning_untrac.data.episodes import UNLEARNING, Episode, EpisodePlan, mixture_episode
from lightning_untrac.data.loading import Concatenation, EpisodeDataLoader, Examples, some_of
from lightning_untrac.data.notes import data_notes
from lightning_untrac.data.prepared import PreparedDataModule
from lightning_untrac.data.sampling import EpisodeBatchSampler, evaluation_batches
from lightning_untrac.data.stratified import stratified
from lightning_untrac.data.streams import RetainedOrder, StreamBatchSampler, StreamCollator, StreamExamples
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.errors import raise_if_any


class CorpusDataModule(PreparedDataModule):
    """Named corpora and test sets for tracing, retraining, unlearning and evaluating.

    The LightningModule that is fitted says which episodes it needs (pretraining the mixture, unlearning each corpus);
    ``plan`` says otherwise. The Trainer's ``max_epochs`` is the number of episodes and
    ``reload_dataloaders_every_n_epochs`` is 1; both are checked. Readings measure all evaluated datasets in one loader,
    longest examples first.

    Args:
        corpora: the training datasets whose influence is asked for.
        test_sets: the datasets that show a behaviour.
        forget: datasets that can be forgotten (``untrac unlearn --forget NAME``), and are neither traced nor retained.
        holdout: datasets that are never trained on, the level of unseen text; ``evaluate`` and ``unlearn`` measure
            them, and ``forget``, beside the others.
        batch_size: examples (or blocks) of a training micro-batch on one device; by default 64 for UnTrac and
            continuation, 256 for UnTrac-Inv (the paper's), 16 for ``unlearn`` and 8 elsewhere. A batch never holds an
            example twice (but for ``copies``): where it exceeds the dataset, it is the whole dataset.
        eval_batch_size: examples of a reading's batch on one device; changes speed only.
        block_size: pack the corpora of a causal model into blocks of this many tokens, documents after one another;
            None trains on one example a row.
        max_length: cut examples to this many tokens, and count how many were cut (:meth:`notes`); None refuses
            examples longer than the model's context. Packed corpora are never cut.
        append_eos: end causal documents in EOS, for tokenizers that begin them with another token.
        document_start: what a causal document begins with: ``bos``, ``eos``, ``nothing``, or a token of the vocabulary
            such as ``<|endoftext|>``; by default BOS, or EOS where there is no BOS. It should be what documents began
            with in training. A text that begins with it already gets no second one.
        per_example: read corpora (UnTrac-Inv) example by example even where they are packed for training.
        corpus_eval_examples: read at most this many blocks or examples of each corpus (UnTrac-Inv), drawn once; a few
            hundred are enough for a corpus' mean.
        self_examples: also read so many examples of each corpus, as test sets named ``self_<corpus>``: of these the
            right answer is known, and the report says whether it was found. None reads none.
        retained_per_example: how many retained examples (or blocks) a step has for each one that it unlearns, where the
            objective asks for retained data: other corpora by their shares, in an order of their own.
        whole_classes: whether a classifier may be made to forget a class of which nothing is retained.
        num_workers: processes that assemble batches; 0 is right unless examples are very long.
        report_texts: how many beginnings of texts of each dataset ``run.json`` and the report quote; 0 for none.
        cache_folder: where rows and token ids are kept; by default inside the ``datasets`` cache.
        plan: which episodes to serve.

    Raises:
        ConfigurationError: on :meth:`prepare` or ``setup``, with every problem of every dataset in one message.

    Attributes:
        streams: what its batches can bring; a subclass that brings more says so.
        reads: names of the only datasets that a reading measures; None for all that its plan says.
    """

    streams: ClassVar[frozenset[str]] = frozenset({"forget", "retain", "alternative", "retain_alternative"})
    reads: Sequence[str] | None = None

    def __init__(
        self,
        corpora: list[DatasetConfig] | None = None,
        test_sets: list[DatasetConfig] | None = None,
        *,
        forget: list[DatasetConfig] | None = None,
        holdout: list[DatasetConfig] | None = None,
        batch_size: int | None = None,
        eval_batch_size: int = 32,
        block_size: int | None = None,
        max_length: int | None = None,
        append_eos: bool = False,
        document_start: str | None = None,
        per_example: bool = False,
        corpus_eval_examples: int | None = None,
        self_examples: int | None = None,
        retained_per_example: int = 1,
        whole_classes: bool = False,
        num_workers: int = 0,
        report_texts: int = 3,
        cache_folder: str | None = None,
        plan: EpisodePlan | None = None,
    ) -> None:
        super().__init__()
        self.corpora, self.test_sets = list(corpora or []), list(test_sets or [])
        self.forget, self.holdout = list(forget or []), list(holdout or [])
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.block_size, self.max_length, self.append_eos = block_size, max_length, append_eos
        self.per_example, self.corpus_eval_examples = per_example, corpus_eval_examples
        self.self_examples, self.retained_per_example = self_examples, retained_per_example
        self.num_workers, self.report_texts, self.plan = num_workers, report_texts, plan
        self.whole_classes, self.document_start, self.cache_folder = whole_classes, document_start, cache_folder

    # -- preparing -------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Read the cache, in every process."""
        self.prepare(self._attached_model())
        raise_if_any(sampler_problems(self.trainer))
        if stage == "fit" and self.trainer is not None:
            names, num_episodes = self.episode_names(self.active_plan), len(self.episodes())
            raise_if_any(stream_problems(self.trainer.lightning_module, self, self.active_plan))
            needs_retain = getattr(self.trainer.lightning_module, "needs_retain", False)
            raise_if_any(episode_problems(self.trainer, self.active_plan, *names, num_episodes, needs_retain))

    def notes(self) -> list[str]:
        """What was left out, cut or repeated, a sentence each, for the report: nothing of it is silent."""
        names = self.corpus_names
        sizes = dict(zip(names, self.mixture(names).sizes, strict=True))
        return data_notes(self, self._facts, sizes, self._shares(names))

    # -- episodes --------------------------------------------------------------------------------------------------

    @property
    def active_plan(self) -> EpisodePlan:
        """The plan given, or the one that the fitted module's phase asks for."""
        if self.plan is not None:
            return self.plan
        module = self.trainer.lightning_module if self.trainer else None
        return EpisodePlan(getattr(module, "episode_kind", "mixture"))

    def episodes(self) -> list[Episode]:
        """All episodes, in order."""
        passes = 1
        if self.trainer is not None and self.trainer.max_epochs is not None:
            passes = max(1, self.trainer.max_epochs)
        return self.active_plan.episodes(*self.episode_names(self.active_plan), passes)

    @property
    def current_episode(self) -> Episode:
        """The episode of the Trainer's current epoch."""
        assert self.trainer is not None
        plan, epoch = self.active_plan, self.trainer.current_epoch
        if plan.kind == "mixture":  # which may have no last epoch (max_epochs=-1)
            return mixture_episode(self.corpus_names, int(plan.seeds[0]), epoch)
        return self.episodes()[epoch]

    # -- loaders ---------------------------------------------------------------------------------------------------

    def _stepped_on(self, episode: Episode) -> Concatenation:
        names = episode.drawn_from or episode.trains_on
        if self.active_plan.kind in UNLEARNING:
            return Concatenation(list(map(self.training_examples, names)), self._coreset(names))
        return self.mixture(names) if self.part is None else self.part

    def _coreset(self, names: Sequence[str]) -> list[np.ndarray | None]:
        plan = self.active_plan
        return [coreset(self.training_examples(name), plan.share, int(plan.seeds[0])) for name in names]

    def sampler(
        self, episode: Episode, accumulation: int = 1, rank: int = 0, num_replicas: int = 1
    ) -> EpisodeBatchSampler:
        """The batches of ``episode``."""
        names = episode.drawn_from or episode.trains_on
        return EpisodeBatchSampler(
            self._stepped_on(episode).sizes,
            batch_size=self.batch_size or self.active_plan.default_batch_size,
            steps=self.active_plan.steps,
            passes=self.active_plan.num_passes,
            least_steps=self.active_plan.least_steps,
            extra_steps=self.active_plan.extra_steps,
            accumulation=accumulation,
            seed=episode.seed,
            pass_index=episode.pass_index,
            follows_epochs=self.active_plan.kind == "mixture",
            shares=self._shares(names),
            left_out=[index for index, name in enumerate(names) if name not in episode.trains_on],
            rank=rank,
            num_replicas=num_replicas,
        )

    def _shares(self, names: Sequence[str]) -> list[float] | None:
        corpora = [self.tokenized_corpora[name] for name in names if name in self.tokenized_corpora]
        if len(corpora) < 2 or corpora[0].config.share is None:
            return None
        return [float(corpus.config.share or 0) for corpus in corpora]

    def train_dataloader(self) -> EpisodeDataLoader:
        """The loader of the current episode."""
        assert self.trainer is not None
        episode = self.current_episode
        rank, num_replicas = data_parallel_rank(self.trainer)
        examples = self._stepped_on(episode)
        sampler = self.sampler(episode, self.trainer.accumulate_grad_batches, rank, num_replicas)
        options = self.loader_options()
        streams, order = {"forget": examples}, None
        asked = getattr(self.trainer.lightning_module, "streams", ())
        if "alternative" in asked:
            streams["alternative"] = self._alternatives(episode)
        if "retain" in asked:
            streams["retain"], order = self._retained(episode), self.retained_order(episode)
            most = sampler.effective_batch_size * self.retained_per_example
            order = stratified(order, examples, streams["retain"], self.trainer.lightning_module, most)
        if "retain_alternative" in asked:
            streams["retain_alternative"] = self._retained_alternatives(episode)
        pieces = self.trainer.accumulate_grad_batches * num_replicas
        if len(streams) == 1 and pieces == 1:  # a batch is a whole step and has its counts
            return EpisodeDataLoader(examples, batch_sampler=sampler, **options)
        data = StreamExamples(streams)
        batches = StreamBatchSampler(sampler, data, order, self.retained_per_example)
        options["collate_fn"] = StreamCollator(options["collate_fn"])
        return EpisodeDataLoader(data, batch_sampler=batches, **options)

    def stream_dataloader(self, stream: str) -> tuple[DataLoader[Any], list[int]]:
        """Every example of a stream of the current episode once, over all ranks, and how many each dataset has.

        Args:
            stream: ``forget``, ``retain``, ``alternative``, ``retain_alternative``; or ``evaluation`` for what is read.
        """
        episode = self.current_episode
        if stream == "evaluation":
            data = self.evaluation_data()
        else:
            makers = {"forget": self._stepped_on, "retain": self._retained, "alternative": self._alternatives}
            data = Concatenation(makers.get(stream, self._retained_alternatives)(episode).parts)
        return self.loader_of(data), [len(part) for part in data.parts]

    def retained_order(self, episode: Episode) -> RetainedOrder:
        """In which order the examples come that ``episode`` is to keep."""
        return RetainedOrder(self._retained(episode).sizes, self._shares(self._kept(episode)), episode.seed)

    def _kept(self, episode: Episode) -> tuple[str, ...]:
        return self.active_plan.retained(episode.dataset, self.corpus_names)

    def _retained(self, episode: Episode) -> Concatenation:
        return self.mixture(self._kept(episode))

    def _alternatives(self, episode: Episode) -> Concatenation:
        names = episode.trains_on
        return alternatives([self.tokenized[name] for name in names], self._coreset(names))

    def _retained_alternatives(self, episode: Episode) -> Concatenation:
        names = self._kept(episode)
        return alternatives([self.tokenized[name] for name in names], self.mixture(names).chosen)

    def retained_dataloader(self, num_examples: int) -> DataLoader[Any]:
        """Single examples (or blocks) that the current episode is to keep, the same ones on every rank.

        Args:
            num_examples: how many, at most all of them.
        """
        data = self._retained(self.current_episode)
        chosen = self.retained_order(self.current_episode).sample(min(num_examples, len(data)))
        return DataLoader(data, batch_sampler=[[int(index)] for index in chosen], **self.loader_options())

    @property
    def evaluation_names(self) -> list[str]:
        """Names of the datasets that a reading measures, in the order of ``dataset_index``."""
        evaluates = self.active_plan.evaluates
        corpora = [] if evaluates == "test_sets" else self.corpus_names
        beside = self.beside_names if evaluates == "all" else []
        names = corpora + ([] if evaluates == "corpora" else self.test_set_names) + beside
        return [name for name in names if self.reads is None or name in self.reads]

    def evaluation_data(self) -> Concatenation:
        """Everything that a reading measures, the same frozen examples at every reading of every episode."""
        parts: list[Examples] = []
        chosen: list[np.ndarray | None] = []
        for name in self.evaluation_names:
            is_corpus = name in self.tokenized_corpora
            part = self.tokenized[name] if self.per_example else self.training_examples(name)
            parts.append(part)
            chosen.append(some_of(part, self.corpus_eval_examples if is_corpus else None))
        return Concatenation(parts, chosen)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The loader of a reading; empty where there is nothing to measure (pretraining without test sets)."""
        return self.loader_of(self.evaluation_data()) if self.evaluation_names else []

    def sample_dataloader(self, name: str, num_examples: int) -> DataLoader[Any]:
        """A loader of at most so many examples (or blocks) of one dataset, the same ones every time."""
        part = self.training_examples(name)
        return self.loader_of(Concatenation([part], [some_of(part, num_examples)]))

    def loader_of(self, data: Concatenation) -> DataLoader[Any]:
        """A loader of all rows in batches of alike lengths, each rank its share, with filler so that all have as many.

        Args:
            data: the rows.
        """
        rank, num_replicas = data_parallel_rank(self.trainer)
        batches = evaluation_batches(data.lengths(), self.eval_batch_size, rank, num_replicas)
        return DataLoader(data, batch_sampler=batches, **self.loader_options())

    def loader_options(self) -> dict[str, Any]:
        """What every DataLoader of this data is made with."""
        known = self._known()
        return {
            "collate_fn": Collator(padding_token(known.tokenizer, known.vocabulary_size), known.targets_apart),
            "num_workers": self.num_workers,
            "persistent_workers": False,
            "pin_memory": bool(self.trainer and self.trainer.strategy.root_device.type == "cuda"),
        }
