"""How much of the training each corpus is."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.errors import ConfigurationError


def training_shares(data: CorpusDataModule) -> Tensor:
    """Each corpus' share of the training tokens.

    Where corpora have a ``share``, it says how many of their examples (or blocks) a pass has; otherwise a pass has each
    once, or as often as ``copies`` says. Target tokens are counted, of all examples whatever ``max_examples`` is.

    Args:
        data: the datasets, prepared.

    Returns:
        ``[corpora]`` float64; they add up to 1.
    """
    corpora = list(data.tokenized_corpora.values())
    tokens = torch.tensor([_targets(corpus) for corpus in corpora], dtype=torch.float64)
    given = [corpus.config.share for corpus in corpora]
    if all(share is not None for share in given):
        rows = torch.tensor(data.mixture([corpus.name for corpus in corpora]).sizes, dtype=torch.float64)
        tokens = torch.tensor(given, dtype=torch.float64) * tokens / rows
    return tokens / tokens.sum()


def _targets(corpus: TokenizedDataset) -> int:
    repeated = corpus.in_training()
    return corpus.num_targets if repeated is None else int(corpus.target_counts()[repeated].sum())


def comparable_shares(data: CorpusDataModule, method: str) -> Tensor:
    """The same, for methods that weigh a corpus against the others.

    Args:
        data: the datasets, prepared.
        method: that asks.

    Returns:
        ``[corpora]`` float64, each below 1.

    Raises:
        ConfigurationError: if there is one corpus only, which has no share to speak of.
    """
    if len(data.corpus_names) < 2:
        raise ConfigurationError(
            [
                f"method {method}: weighs a corpus against the others, and {', '.join(data.corpus_names)} is the only "
                "one; give at least 2 corpora, or use graddot"
            ]
        )
    return training_shares(data)
