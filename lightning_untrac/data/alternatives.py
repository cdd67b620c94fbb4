"""Other answers to the prompts of a dataset, row for row beside its examples."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_untrac.data.episodes import UNLEARNING, EpisodeKind
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.errors import ConfigurationError


def alternatives(datasets: Sequence[TokenizedDataset]) -> Concatenation:
    """The other answers of several datasets, in the order of their examples.

    Args:
        datasets: which all have some.

    Raises:
        ConfigurationError: if one has none.
    """
    found = [dataset.alternative for dataset in datasets]
    if problem := _without(datasets):
        raise ConfigurationError([problem])
    return Concatenation([one for one in found if one is not None])


def alternative_problems(kind: EpisodeKind, datasets: Sequence[TokenizedDataset], packed: Sequence[str]) -> list[str]:
    """Why there is no other answer to each prompt that is unlearned.

    Args:
        kind: of the episodes.
        datasets: which are unlearned.
        packed: names of those that are stepped on in blocks.
    """
    if kind not in UNLEARNING:
        return [f"model.unlearning_objective: it needs alternatives, and {kind} episodes unlearn nothing; leave it out"]
    problem = _without(datasets)
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
        f"data: the objective needs an alternative to each answer, and {', '.join(names)} has none; name its "
        "columns, e.g. {prompt: question, target: answer, alternative: refusal}, or alternative: builtin:refusals"
    )
