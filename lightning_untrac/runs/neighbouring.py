"""Read a forget set and its unseen twins beside neighbours of each sequence, the same ones for every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import torch

from lightning_untrac.callbacks.score_recorder import ScoreRecorder
from lightning_untrac.data.loading import some_of
from lightning_untrac.data.some_datasets import SomeDatasets
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.neighbourhood import Neighbourhood
from lightning_untrac.modules.proposals import Proposals, Proposing, WithNeighbours
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.stage import Stage

Proposer = Literal["retrained", "original", "corpora"]
"""What proposes tokens: the first retrained model, the original, or how often a token stands in what is retained."""

MOST: Final = 20_000
"""Examples of a corpus whose tokens are counted at most."""

SEED: Final = 0
"""Of the neighbours, which are drawn once for all models."""


def neighbourhood_scores(
    stage: Stage, models: Sequence[str], names: Sequence[str], count: int, proposer: str | None, forget: str
) -> dict[str, Mapping[str, Floats]]:
    """Scores of all models beside the same neighbours; call it on every rank.

    Args:
        stage: the verb's, started.
        models: to read.
        names: the datasets.
        count: neighbours of each sequence.
        proposer: the model that proposes tokens; None for the frequencies of tokens in the corpora.
        forget: the forget set, whose tokens do not count there.

    Returns:
        Model to dataset to ``[examples]``.
    """
    data = SomeDatasets(stage.data, names)
    proposals = Proposals(count, SEED, names)
    if proposer is None:
        proposals.frequencies = _frequencies(stage, forget)
    else:
        _read(stage, Proposing(stage.parsed.build_module().of_saved(proposer), proposals), data, ())
    found: dict[str, Mapping[str, Floats]] = {}
    for path in models:
        module = WithNeighbours(stage.parsed.build_module().of_saved(path), proposals)
        recorder = _read(stage, module, data, [Neighbourhood.name])
        found[path] = recorder.arrays[f"{Neighbourhood.name}/value"]
    return found


def _read(stage: Stage, module: Proposing, data: SomeDatasets, measured: Sequence[str]) -> ScoreRecorder:
    recorder = ScoreRecorder(measured)
    only_measure(stage, module, data, recorder)
    return recorder


def _frequencies(stage: Stage, forget: str) -> torch.Tensor:
    """Logarithms of how often each token stands in the corpora but for the forget set, ``[vocabulary]``."""
    counts = np.zeros(stage.module.vocabulary_size, dtype=np.int64)
    for name, dataset in stage.data.tokenized_corpora.items():
        chosen = some_of(dataset, MOST)
        for index in (range(len(dataset)) if chosen is None else chosen.tolist()) if name != forget else ():
            labels = dataset[index]["labels"]
            counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    with np.errstate(divide="ignore"):
        return torch.from_numpy(np.log(counts.astype(np.float64)))
