"""Task-vector negation: learn the forget set once more, and go as far in the other direction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.functional.task_arithmetic import negated
from lightning_untrac.objectives import Descent, Objective
from lightning_untrac.sharding import local_shard, reshard

COEFFICIENTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Those that are tried, in this order, where none is given."""

RETAINED_EXAMPLES = 64
"""Examples or blocks of what stays on which they are tried."""

FIRST_FACTORS = ("lora_A.", "lora_embedding_A.")
"""Parts of the names of LoRA's first factors. Their product with the second ones changes its sign with either."""


class TaskVector(ForgettingMethod):
    """Train on the forget set, and take away what that added: ``theta_0 - coefficient (theta_tuned - theta_0)``.

    Ilharco et al. 2023 (arXiv 2212.04089). The steps descend the loss of the forget set at a learning rate by the
    model's width. Every reading measures the edited weights, and they are what is saved; checkpoints hold the tuned
    ones, so that a run that was killed goes on. Of LoRA's two factors the first stays as it was tuned, and the second
    is negated. Buffers stay as they are. Each rank edits its own part of sharded weights.

    Memory: two more copies of what may move.

    Args:
        coefficient: how far to go; by default it is chosen at each reading, without any truth: the largest of a small
            grid, tried from below, at which the loss of 64 examples of the retained corpora has risen by at most
            ``retained_rise`` nats per token. Where none is so small, it is the smallest one.
        retained_rise: how much.
    """

    name: ClassVar[str] = "task_vector"

    def __init__(self, coefficient: float | None = None, retained_rise: float = 0.05) -> None:
        self.coefficient, self.retained_rise = coefficient, retained_rise
        self._edits = NegatedTaskVector(coefficient, retained_rise)

    @override
    def prepare(self, module: Any) -> list[str]:
        module.unlearning_objective = Objective(Descent())
        module.keeps_start, module.keeps_retained = True, self.coefficient is None
        by = "chosen at each reading" if self.coefficient is None else f"{self.coefficient:g}"
        return [f"task vector of descent on the forget set, coefficient {by}"]

    @override
    def callbacks(self) -> list[Callback]:
        return [self._edits]

    @override
    def notes(self) -> list[str]:
        return [said] if (said := self._edits.said()) else []

    @override
    def problems(self) -> list[str]:
        found = super().problems()
        if self.coefficient is not None and not 0 < self.coefficient < math.inf:
            found.append(f"method.coefficient: {self.coefficient}; give a number above 0, e.g. 1")
        if not 0 <= self.retained_rise < math.inf:
            found.append(f"method.retained_rise: {self.retained_rise}; give nats per token, e.g. 0.05")
        return found


class NegatedTaskVector(Callback):
    """Puts the edited weights in place for every reading, and for good at the end of the fit.

    The module has to have ``keeps_start`` on. Put it before what saves the model.

    Args:
        coefficient: how far to go; None to choose it.
        retained_rise: rise of the retained loss up to which a coefficient is chosen.
        coefficients: what to choose from, in ascending order.

    Attributes:
        chosen: the coefficient of the newest reading.
        rise: of the retained loss there, as it was measured for the choice; None for a coefficient that was given.
    """

    def __init__(
        self, coefficient: float | None, retained_rise: float, coefficients: Sequence[float] = COEFFICIENTS
    ) -> None:
        self.coefficient, self.retained_rise, self.coefficients = coefficient, retained_rise, coefficients
        self.chosen: float | None = coefficient
        self.rise: float | None = None
        self._tuned: dict[str, Tensor] = {}

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        self._tuned = {name: local_shard(p).detach().clone() for name, p in _moving(pl_module).items()}
        if self.coefficient is None:
            self._choose(pl_module)
        self._edit(pl_module, self.chosen or 0.0)
        for logger in trainer.loggers:
            said = {"task_vector/coefficient": self.chosen, "task_vector/retained_rise": self.rise}
            logger.log_metrics({key: value for key, value in said.items() if value is not None}, trainer.global_step)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._put_back(pl_module)

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._put_back(pl_module)  # a callback that saves now is to find what a run can go on from

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._tuned = {name: local_shard(p).detach().clone() for name, p in _moving(pl_module).items()}
        self._edit(pl_module, self.chosen or 0.0)
        self._tuned = {}

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"chosen": self.chosen, "rise": self.rise}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.chosen, self.rise = state_dict["chosen"], state_dict["rise"]

    def said(self) -> str:
        """What was taken, for people."""
        if self.coefficient is not None or self.chosen is None or self.rise is None:
            return ""
        if self.rise > self.retained_rise:
            return (
                f"even the smallest coefficient, {self.chosen:g}, raised the retained loss by {self.rise:.3f} nats per "
                f"token, more than {self.retained_rise:g}; take fewer steps, or give method.coefficient"
            )
        return f"coefficient {self.chosen:g}; it raised the retained loss by {self.rise:.3f} nats per token"

    def _choose(self, module: Any) -> None:
        with _without_graph(module):
            self._edit(module, 0.0, all_of_it=True)
            before = _retained_loss(module)
            self.chosen = self.rise = None
            for coefficient in self.coefficients:
                self._edit(module, coefficient)
                rise = _retained_loss(module) - before
                if self.chosen is not None and not rise <= self.retained_rise:  # nor where it is no number
                    break
                self.chosen, self.rise = coefficient, rise
                if not rise <= self.retained_rise:
                    break

    @torch.no_grad()
    def _edit(self, module: Any, coefficient: float, all_of_it: bool = False) -> None:
        start: Mapping[str, Tensor] = module.reference.start()
        reshard(module.model)
        for name, parameter in _moving(module).items():
            tuned = self._tuned[name]
            keeps_sign = not all_of_it and any(part in name for part in FIRST_FACTORS)
            edited = tuned if keeps_sign else negated(start[name], tuned, coefficient)
            local_shard(parameter).data.copy_(edited)

    @torch.no_grad()
    def _put_back(self, module: Any) -> None:
        if self._tuned:
            reshard(module.model)
            for name, parameter in _moving(module).items():
                local_shard(parameter).data.copy_(self._tuned[name])
            self._tuned = {}


def _moving(module: Any) -> Mapping[str, torch.nn.Parameter]:
    found: Mapping[str, torch.nn.Parameter] = module.trainable_parameters()
    return found


@contextmanager
def _without_graph(module: Any) -> Iterator[None]:
    with torch.no_grad(), module.without_dropout(), module.trainer.precision_plugin.val_step_context():
        yield


def _retained_loss(module: Any) -> float:
    """Mean loss per token of a sample of what stays, the same on every rank."""
    total, count = 0.0, 0
    for batch in module.retained_examples(RETAINED_EXAMPLES):
        if batch["has_targets"]:
            num_targets = int(module.num_targets(batch))
            total, count = total + float(module.mean_loss(batch)) * num_targets, count + num_targets
    return total / count if count else math.nan
