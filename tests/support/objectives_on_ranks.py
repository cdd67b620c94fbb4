"""Every objective once on this rank, with whatever strategy, and where the weights have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import every_objective
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.objectives import AltPO, Objective
from lightning_untrac.sharding import whole_weights
from lightning_untrac.strategies import FSDP2, fsdp2_strategy

EFFECTIVE_BATCH, ACCUMULATION = 8, 2


class KeepPenalty(Callback):
    """Keeps the value of the anchor at each micro-batch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if "train/anchor_term" in trainer.callback_metrics:
            self.values.append(float(trainer.callback_metrics["train/anchor_term"]))


def settings() -> dict[str, Callable[[], Objective]]:
    """Every shipped term, and what they do together, by name."""
    found: dict[str, Callable[[], Objective]] = {
        name: lambda room=room, name=name: every_objective.objective(room, name)  # type: ignore[misc]
        for room, name in every_objective.shipped()
    }
    made, objectives = every_objective.NEEDED, every_objective.objectives
    return found | {
        "DeepCUT, projected": lambda: Objective(objectives.DeepCUT(views=1, projection=5), [objectives.RetainLoss()]),
        "SAM alone": lambda: Objective(rectify=objectives.SAM()),
        "an anchor, GRU and alternatives": lambda: Objective(
            # The gradient of a KL term is rounding before the first step, which has another direction on each rank.
            objectives.DPO(), [objectives.RetainKL(2.0)], objectives.FisherAnchor(**made["FisherAnchor"]),
            objectives.GRU(least_cosine=-0.3),
        ),
        "an anchor, SAM and a reference": lambda: Objective(
            objectives.UNDIAL(), [], objectives.L2Anchor(5.0), objectives.SAM(0.1)
        ),
    }  # fmt: skip


NEVER_SHARDED = ("DeepCUT, projected",)
"""Those that FSDP2 can't run."""

GOES_ON = ("DeepCUT, projected", "FisherAnchor", "GRU", "RetainBound", "an anchor, GRU and alternatives")
"""Those that keep something from step to step."""


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """Plain steps, whose size is the gradient's."""
    return torch.optim.SGD(parameters, lr=0.5)


def run_all(names: Sequence[str], folder: str, model: str, cache: str, strategy: str | None, result: str) -> None:
    """Unlearn with every objective and save all final weights.

    Args:
        names: of :func:`settings`.
        folder: of the files of pairs.
        model: the saved model's.
        cache: of token ids.
        strategy: ``ddp`` or ``fsdp2`` on two ranks; None for one process.
        result: file for the weights and the anchors' values, by name.
    """
    found: dict[str, Any] = {}
    ranks = 1 if strategy is None else 2
    checkpoint = Path(result).with_suffix(".ckpt")

    def fit(name: str, plan: dict[str, Any], *callbacks: Callback, **options: Any) -> dict[str, torch.Tensor]:
        made = settings()[name]()
        # The last step has four texts, so that some shares of it are empty.
        accumulation = 1 if strategy is None or every_objective.pairs_examples(made) else ACCUMULATION
        size = EFFECTIVE_BATCH // ranks // accumulation
        alternative = None if isinstance(made.forget, AltPO) else "no"
        penalty = KeepPenalty()
        module, _ = every_objective.fit(
            every_objective.pairs(Path(folder), cache, alternative, batch_size=size, retained_per_example=2),
            model, made, optimizer=sgd, plan=plan, accumulation=accumulation, callbacks=[penalty, *callbacks],
            trainer_options={} if strategy is None else {"devices": ranks, "strategy": _strategy(strategy, made)},
            **options,
        )  # fmt: skip
        weights = {key: tensor.detach().clone() for key, tensor in whole_weights(module.model).items()}  # type: ignore[arg-type]
        found[f"{name}/penalty"] = torch.tensor(penalty.values[::accumulation])
        return weights

    for name in names:
        if strategy == FSDP2 and name in NEVER_SHARDED:
            continue
        print(name, flush=True)
        found[name] = fit(name, {"passes": 1})
        if name in GOES_ON:
            print(name, "in two parts", flush=True)
            half = 2 if strategy is None else 2 * ACCUMULATION
            found[f"{name}, whole"] = fit(name, {"steps": 4}, every_objective.Save(checkpoint, half))
            found[f"{name}, resumed"] = fit(name, {"steps": 4}, ckpt_path=checkpoint, weights_only=True)
    if rank_zero_only.rank == 0:
        torch.save(found, result)


def _strategy(strategy: str, made: Objective) -> Any:
    if strategy == FSDP2:
        return fsdp2_strategy(2)
    terms = list(made.terms())
    seen = terms[1:] if made.rectify is not None and len(terms) > 1 else terms
    return strategy if any(term.reaches_all for term in seen) else f"{strategy}_find_unused_parameters_true"
