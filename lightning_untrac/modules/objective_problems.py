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
    if layers := objective.has_layers:
        found.append(
            f"model.unlearning_objective.rectify: {name} takes gradients of the model's weights alone, and "
            f"{' and '.join(layers)} trains layers beside them (projection); leave one of the two out"
        )
    if cls.objective is not of_terms and type(rectify).displacement is not Rectifier.displacement:
        found.append(
            f"model.unlearning_objective.rectify: {name} takes the forget term's gradient a second time, and "
            f"{cls.__name__} has an `objective(seen)` of its own; give unlearning_objective terms, or leave `rectify` "
            "out"
        )
    return found


def gradient_problems(objective: Objective, strategy: Any, heals: bool = False) -> list[str]:
    """Whether a strategy can't give an objective the gradients that it needs, or the other way.

    Args:
        objective: of the module.
        strategy: of the Trainer.
        heals: whether an episode goes on without the forget term.
    """
    found = []
    if (layers := objective.has_layers) and heals and waits_for_every_gradient(strategy):
        found.append(
            f"trainer.strategy: the layers of {' and '.join(layers)} (projection) have no part in steps that heal, and "
            "plain ddp waits for all of them; use ddp_find_unused_parameters_true"
        )
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


def trainer_problems(objective: Objective, trainer: Any) -> list[str]:
    """Whether a Trainer's precision or accumulation does not suit an objective.

    Args:
        objective: of the module.
        trainer: that it is fitted with.
    """
    found = []
    small = [type(term).__name__ for term in objective.terms() if term.underflows_in_float16]
    small += [type(objective.rectify).__name__] if objective.rectify is not None else []
    if small and str(trainer.precision).startswith("16"):
        found.append(
            f"trainer.precision: {trainer.precision}; small numbers of {' and '.join(small)} are lost in float16; use "
            "bf16-mixed, or leave it out"
        )
    pairs = [type(term).__name__ for term in objective.terms() if term.pairs_examples]
    if pairs and (pieces := trainer.accumulate_grad_batches) > 1:
        found.append(
            f"trainer.accumulate_grad_batches: {pieces}; {' and '.join(pairs)} holds a step's examples against each "
            "other, and those of two micro-batches never meet; leave it out and raise data.batch_size, or take more "
            "devices, whose examples do meet"
        )
    return found


def view_problems(module: Any) -> list[str]:
    """Whether the views that an objective asks for would all be alike, or could not be computed again.

    Args:
        module: an ``Unlearning``, whose weights are not loaded yet.
    """
    many = [type(term).__name__ for term in module.unlearning_objective.terms() if term.views > 1]
    if not many:
        return []
    found, names = [], " and ".join(many)
    if not _has_dropout(module.model_config.get_text_config().to_dict()):
        found.append(
            f"model.unlearning_objective: the views of {names} are made by dropout, and this model has none, so that "
            "they would all be alike; give views: 1"
        )
    if module.activation_checkpointing and not module.dropout:
        found.append(
            f"model.activation_checkpointing: the views of {names} have dropout, which would be off where they are "
            "computed again; use --model.dropout true, or views: 1"
        )
    return found


def _has_dropout(config: dict[str, Any]) -> bool:
    rates = [value for name, value in config.items() if "drop" in name and "layerdrop" not in name]
    return any(isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0 for rate in rates)


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
    if layers := objective.has_layers:
        found.append(
            f"trainer.strategy: {' and '.join(layers)} trains layers beside the model (projection), whose gradients "
            f"{name} would leave unlike on each rank; use --trainer.strategy auto (one device) or ddp, or leave "
            "projection out"
        )
    if rectify is not None and (old or rectify.needs_whole_weights):
        found.append(
            f"trainer.strategy: {type(rectify).__name__} needs the gradients of two terms apart, and {name} sums what "
            f"it spreads over the ranks; {other}, or leave `rectify` out"
        )
    return found
