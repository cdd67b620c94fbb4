"""Why an objective can't work in a module or under a strategy, said before the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from lightning_untrac.data.config import SAMPLES
from lightning_untrac.objectives.objective import Objective
from lightning_untrac.objectives.rectify.base import Rectifier
from lightning_untrac.strategies import waits_for_every_gradient


def objective_problems(module: Any, of_terms: Callable[..., Any]) -> list[str]:
    """What is wrong with an objective whatever the model is.

    Args:
        module: an ``Unlearning``.
        of_terms: the ``objective`` of modules that have none of their own.
    """
    found, cls, objective = [], type(module), module.unlearning_objective
    if any(hasattr(cls, old) for old in ("retained_objective", "weights_objective")):
        found.append(
            f"model: {cls.__name__} defines retained_objective or weights_objective, which are terms now; "
            "give unlearning_objective: {retain: [...], anchor: ...}, or name the stream in `extra_streams` and "
            "read it in objective(seen)"
        )
    if (rectify := objective.rectify) is None:
        return found
    name = type(rectify).__name__
    if rectify.needs_retain and not objective.retain:
        found.append(
            f"model.unlearning_objective.rectify: {name} holds the forget term's gradient against that of retain "
            "terms; give at least one, e.g. retain: [RetainLoss]"
        )
    if cls.objective is not of_terms and type(rectify).displacement is not Rectifier.displacement:
        found.append(
            f"model.unlearning_objective.rectify: {name} takes the forget term's gradient a second time, and "
            f"{cls.__name__} has an `objective(seen)` of its own; give unlearning_objective terms, or leave `rectify` "
            "out"
        )
    return found


def gradient_problems(objective: Objective, strategy: Any) -> list[str]:
    """Whether a strategy can't give an objective the gradients that it needs, or the other way.

    Args:
        objective: of the module.
        strategy: of the Trainer.
    """
    found = []
    # What goes into the backward pass that plain ddp looks at.
    terms = list(objective.terms())
    seen = terms[1:] if objective.rectify is not None and len(terms) > 1 else terms
    if waits_for_every_gradient(strategy) and not any(term.reaches_all for term in seen):
        found.append(
            f"trainer.strategy: the gradient of {objective} does not reach every parameter, and plain ddp waits for "
            "all of them; use ddp_find_unused_parameters_true"
        )
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
        found += _sharding_problems(objective, strategy)
    return found


def _sharding_problems(objective: Objective, strategy: Any) -> list[str]:
    """What needs whole weights; of FSDP1, also what needs gradients by parts of them."""
    old = isinstance(strategy, FSDPStrategy)
    name = type(strategy).__name__
    ways = "auto (one device), ddp or fsdp2" if old else "auto (one device) or ddp"
    other = f"use --trainer.strategy {ways}"
    found, anchor, rectify = [], objective.anchor, objective.rectify
    if anchor is not None and (old or anchor.needs_whole_weights):
        found.append(
            f"trainer.strategy: {type(anchor).__name__} is a function of the weights, and {name} shards them; {other}, "
            "or an objective without an anchor (retain: [RetainLoss])"
        )
    if objective.forget.alternatives_from == SAMPLES and old:
        found.append(
            f"trainer.strategy: {type(objective.forget).__name__} lets the model continue prompts before the first "
            f"step, and {name} shards it; {other}, or give the data an `alternative` column, and DPO"
        )
    if rectify is not None and (old or rectify.needs_whole_weights):
        found.append(
            f"trainer.strategy: {type(rectify).__name__} needs the gradients of two terms apart, and {name} sums what "
            f"it spreads over the ranks; {other}, or leave `rectify` out"
        )
    return found
