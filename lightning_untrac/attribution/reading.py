"""What a rival reads of each dataset: the blocks that are trained on, or so many of them, the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch.utils.data import DataLoader
from typing_extensions import override

from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.checks import data_parallel_rank, sampler_problems
from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.loading import Concatenation, some_of
from lightning_untrac.data.sampling import evaluation_batches, examples_by_share
from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.modules import LanguageModule


class EveryDataset(L.LightningDataModule):
    """Corpora, then test sets, in one validation loader that splits itself by rank.

    Args:
        data: the datasets, tokenised.
        module: whose tokenizer pads them.
        max_examples: blocks or examples of each dataset that are read, drawn once; all of them where None.
    """

    def __init__(self, data: CorpusDataModule, module: LanguageModule, max_examples: int | None = None) -> None:
        super().__init__()
        self.data, self.max_examples = data, max_examples
        self.collator = Collator(padding_token(module.tokenizer, module.vocabulary_size), module.head.targets_apart)

    @property
    def evaluation_names(self) -> list[str]:
        """Names of the datasets, in the order of ``dataset_index``."""
        return [*self.data.corpus_names, *self.data.test_set_names]

    def examples(self, names: Sequence[str]) -> Concatenation:
        """The chosen examples of some datasets."""
        parts = [self.data.training_examples(name) for name in names]
        return Concatenation(parts, [some_of(part, self.max_examples) for part in parts])

    def mixture(self, num_examples: int, seed: int) -> Concatenation:
        """At most so many examples of all corpora, in the proportions in which they are trained on.

        Drawn in alphabetical order of the corpora, so that the order in which they are listed makes no difference.
        """
        names = sorted(self.data.corpus_names)
        sizes = [len(self.data.training_examples(name)) for name in names]
        given = [self.data.tokenized_corpora[name].config.share for name in names]
        shares = (
            self.data.mixture(names).sizes
            if any(share is None for share in given)
            else [float(share or 0) for share in given]
        )
        counts = examples_by_share(shares, min(num_examples, sum(sizes)))
        generator = np.random.default_rng([seed, 1])
        chosen = [np.sort(generator.permutation(size)[:count]) for size, count in zip(sizes, counts, strict=True)]
        return Concatenation([self.data.training_examples(name) for name in names], chosen)

    def loader(
        self, examples: Concatenation, rank: int = 0, num_replicas: int = 1, batch_size: int | None = None
    ) -> DataLoader[Any]:
        """Batches of examples of like lengths, longest first; of the DataModule's ``eval_batch_size`` by default."""
        batches = evaluation_batches(examples.lengths(), batch_size or self.data.eval_batch_size, rank, num_replicas)
        return DataLoader(examples, batch_sampler=batches, collate_fn=self.collator, num_workers=self.data.num_workers)

    @override
    def setup(self, stage: str) -> None:
        raise_if_any(sampler_problems(self.trainer))

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(self.examples(self.evaluation_names), *data_parallel_rank(self.trainer))


def on_one_device(run: ScoringRun, method: str) -> LanguageModule:
    """The trained model, on the Trainer's device, in eval mode.

    Raises:
        ConfigurationError: if the Trainer has several ranks.
    """
    trainer = run.build_trainer(logger=False, enable_checkpointing=False)
    if trainer.world_size > 1:
        raise ConfigurationError(
            [
                f"method: {method} works on one device, and there are {trainer.world_size} ranks; use "
                "--trainer.devices 1, or leave it out"
            ]
        )
    module = run.build_module()
    module.configure_model()
    module.to(trainer.strategy.root_device)
    module.eval()
    return module


def batches_on(module: LanguageModule, loader: DataLoader[Any]) -> Iterator[LanguageBatch]:
    """A loader's batches on the module's device."""
    for batch in loader:
        yield {k: v.to(module.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}  # type: ignore[misc]
