"""Whether a Trainer will go through the episodes that a plan has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_untrac.data.episodes import NAMED, EpisodePlan


def data_parallel_rank(trainer: Any) -> tuple[int, int]:
    """This process' data-parallel rank and their number, as Lightning itself tells samplers.

    Tensor-parallel ranks share a batch and so share a data-parallel rank.
    """
    options = getattr(trainer.strategy, "distributed_sampler_kwargs", None) if trainer else None
    return (int(options["rank"]), int(options["num_replicas"])) if options else (0, 1)


def sampler_problems(trainer: Any) -> list[str]:
    """Whether Lightning would put its own sampler, which repeats examples, over this package's."""
    connector = getattr(trainer, "_accelerator_connector", None)
    if data_parallel_rank(trainer)[1] > 1 and getattr(connector, "use_distributed_sampler", False):
        return ["Trainer(use_distributed_sampler=False) is needed: the data splits itself by rank and repeats nothing"]
    return []


def episode_problems(
    trainer: Any,
    plan: EpisodePlan,
    corpora: Sequence[str],
    test_sets: Sequence[str],
    num_episodes: int,
    needs_retain: bool = False,
) -> list[str]:
    """What is wrong with the plan, or with the Trainer's arguments for it, before a fit.

    Args:
        trainer: that is going to fit.
        plan: what it is to go through.
        corpora: names of the corpora.
        test_sets: names of the test sets.
        num_episodes: episodes still to run.
        needs_retain: whether the fitted module's objective needs examples that are to stay.
    """
    found = plan.problems(corpora, test_sets)
    if needs_retain:
        found += plan.retain_problems(corpora, test_sets)
    if plan.kind in NAMED and len(plan.only) != 1:
        found.append(f"plan: kind {plan.kind!r} needs exactly one dataset's name in `only`, not {list(plan.only)}")
    if plan.kind == "mixture" or found or trainer.fast_dev_run:
        return found
    if trainer.max_epochs is None or not 0 < trainer.max_epochs <= num_episodes:
        found.append(
            f"Trainer(max_epochs={trainer.max_epochs}): an epoch is an episode and there are {num_episodes} "
            f"({len(plan.datasets(corpora, test_sets))} datasets x {len(plan.seeds)} seeds); "
            f"use max_epochs={num_episodes}"
        )
    if num_episodes > 1 and trainer.reload_dataloaders_every_n_epochs != 1:
        found.append("Trainer(reload_dataloaders_every_n_epochs=1) is needed: each episode has its own data")
    if trainer.max_steps not in (-1, None):
        found.append("Trainer(max_steps=...) counts over all episodes; set the plan's `steps` (an episode's) instead")
    return found


def stream_problems(module: Any, data: Any, plan: EpisodePlan) -> list[str]:
    """Whether an objective reads a stream that the data don't bring.

    Args:
        module: the LightningModule.
        data: the DataModule; nothing is said of one that doesn't say what it brings.
        plan: its episodes.
    """
    brings = getattr(data, "streams", None)
    if brings is None:
        return []
    asked = frozenset(getattr(module, "streams", ()))
    found = [
        f"model.unlearning_objective: a term reads {stream} examples, and {type(data).__name__} brings none; leave the "
        f"term out, or give a DataModule whose batches have them and that names {stream!r} in `streams`"
        for stream in sorted(asked - brings)
    ]
    found += data.alternative_problems(plan) if "alternative" in asked & brings else []
    return found + (data.alternative_problems(plan, retained=True) if "retain_alternative" in asked & brings else [])
