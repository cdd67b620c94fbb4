"""Puts weights from which a task vector was taken away in the place of those that were trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.forgetting.memorised import Memorisation
from lightning_untrac.functional.task_arithmetic import negated
from lightning_untrac.sharded_state import own_state, whole_state
from lightning_untrac.sharding import local_shard, reshard

COEFFICIENTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Those that are tried, in this order, where none is given."""

RETAINED_EXAMPLES = 64
"""Examples or blocks of what stays on which they are tried."""

FIRST_FACTORS = ("lora_A.", "lora_embedding_A.")
"""Parts of the names of LoRA's first factors. Their product with the second ones changes its sign with either."""

SECOND_FACTORS = ("lora_B.", "lora_embedding_B.")


class NegatedTaskVector(EndsForgetting):
    """Puts the edited weights in place for every reading, and for good at the end of the fit.

    The vector begins at the weights before unlearning, for which the module has to have ``keeps_start`` on, or where
    :meth:`begin` is called. Of LoRA's two factors the first stays as it was trained, and the second is negated. Where a
    vector begins at adapters that are not fresh, only the second factors are trained, so that their product is negated
    exactly. Put it before what saves the model.

    Args:
        coefficient: how far to go; None to choose it.
        retained_rise: rise of the retained loss up to which a coefficient is chosen.
        coefficients: what to choose from, in ascending order.
        memorisation: measured after each pass, of the edited weights, and ends forgetting; None for neither.

    Attributes:
        chosen: the coefficient of the newest reading.
        rise: of the retained loss there, as it was measured for the choice; None for a coefficient that was given.
        began: micro-batches of the episode before the vector; None where it has not begun.
        finite: whether the newest losses of the edited weights were finite.
    """

    def __init__(
        self,
        coefficient: float | None,
        retained_rise: float = 0.05,
        coefficients: Sequence[float] = COEFFICIENTS,
        memorisation: Memorisation | None = None,
    ) -> None:
        super().__init__()
        self.coefficient, self.retained_rise, self.coefficients = coefficient, retained_rise, coefficients
        self.memorisation = memorisation
        self.chosen: float | None = coefficient
        self.rise: float | None = None
        self.began: int | None = 0
        self.finite = True
        self._own_start: dict[str, Tensor] = {}
        self._tuned: dict[str, Tensor] = {}
        self._holds_first: bool | None = None
        self._module: Any = None

    def begin(self, module: Any, batch: int) -> None:
        """Let the vector begin at the weights of now.

        Args:
            module: that is unlearned.
            batch: micro-batches of the episode that were taken before.
        """
        self._own_start, self.began, self._holds_first = self._now(module), batch, None

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._module = pl_module

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.reason = self.standing = None
        self.finite, self._holds_first = True, None
        if self.memorisation is not None:
            self.memorisation.forget()
        if self._own_start:
            self._own_start, self.began = {}, None

    @override
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.memorisation is not None and self.memorisation.start is None and self.began is not None:
            self.memorisation.begin(pl_module)
            self.standing = self.memorisation.must_go_on()
            self.memorisation.log(trainer, 0)

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        if self.began is None:
            return
        if self._holds_first is None:
            self._holds_first = self._goes_on(pl_module)
        if self._holds_first:
            for name, parameter in _moving(pl_module).items():
                if _is_part(FIRST_FACTORS, name):
                    parameter.grad = None

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        known = self.memorisation
        if known is None or self.began is None or pl_module.episode_ended or pl_module.healing:
            return
        done = batch_idx + 1 - self.began
        if done == 0 or (done % self._pass(trainer) and not trainer.is_last_batch):
            return
        self._put_in_place(pl_module)
        known.measure(pl_module)
        self._put_back(pl_module)
        self.finite = known.is_finite
        known.log(trainer, InfluenceLogger.optimizer_step(trainer))
        if not self.finite:
            pl_module.end_episode("nonfinite")
            return
        met, said = known.reached()
        self.reason, self.standing = (said, None) if met else (None, said)
        if met:
            pl_module.end_forgetting()

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or self.began is None:
            return
        self._put_in_place(pl_module)
        for logger in trainer.loggers:
            said = {"task_vector/coefficient": self.chosen, "task_vector/retained_rise": self.rise}
            logger.log_metrics({key: value for key, value in said.items() if value is not None}, trainer.global_step)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self._tuned:
            losses = pl_module.dataset_losses.losses()
            self.finite = bool(losses.token_loss[losses.num_tokens > 0].isfinite().all())

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._put_back(pl_module)

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._put_back(pl_module)  # a callback that saves now is to find what a run can go on from

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.began is not None:
            self._tuned = self._now(pl_module)
            self._edit(pl_module, self.chosen or 0.0)
            self._tuned = {}

    @override
    def state_dict(self) -> dict[str, Any]:
        state = {"chosen": self.chosen, "rise": self.rise, "began": self.began, "standing": self.standing}
        known = {} if self.memorisation is None else self.memorisation.state_dict()
        start = dict(self._own_start)
        if start:  # collective where weights are sharded; every rank has begun, or none has
            writes = bool(self._module.trainer.is_global_zero)
            reshard(self._module.model)
            start = whole_state(start, _moving(self._module), keep=writes)
        return {**state, "start": start, "memorisation": known}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.chosen, self.rise, self.began = (state_dict[key] for key in ("chosen", "rise", "began"))
        self.standing, self._own_start = state_dict["standing"], dict(state_dict["start"])
        if self._own_start:
            reshard(self._module.model)
            self._own_start = own_state(self._own_start, _moving(self._module))
        if self.memorisation is not None:
            self.memorisation.load_state_dict(state_dict["memorisation"])

    # -- words -----------------------------------------------------------------------------------------------------

    def said(self) -> str:
        """What was taken, for people."""
        if not self.finite:
            return (
                f"with the coefficient {self.chosen:g} the edited weights give numbers that are not finite; give a "
                "smaller method.coefficient, or take fewer steps"
            )
        if self.coefficient is not None or self.chosen is None or self.rise is None:
            return ""
        if self.rise > self.retained_rise:
            return (
                f"even the smallest coefficient, {self.chosen:g}, raised the retained loss by {self.rise:.3f} nats per "
                f"token, more than {self.retained_rise:g}; take fewer steps, or give method.coefficient"
            )
        return f"coefficient {self.chosen:g}; it raised the retained loss by {self.rise:.3f} nats per token"

    # -- weights ---------------------------------------------------------------------------------------------------

    def _put_in_place(self, module: Any) -> None:
        self._tuned = self._now(module)
        if self.coefficient is None:
            self._choose(module)
        self._edit(module, self.chosen or 0.0)

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

    def _start(self, module: Any) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = self._own_start or module.reference.start()
        return found

    def _goes_on(self, module: Any) -> bool:
        """Whether the vector begins at adapters that change something already."""
        if not any(_is_part(SECOND_FACTORS, name) for name in _moving(module)):
            return False
        start = self._start(module)
        moved = any(bool(start[name].any()) for name in start if _is_part(SECOND_FACTORS, name))
        return bool(module.trainer.strategy.reduce_boolean_decision(moved, all=False))

    @staticmethod
    def _pass(trainer: L.Trainer) -> int:
        """Micro-batches of a pass over the forget set."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sampler = data.sampler(data.current_episode, trainer.accumulate_grad_batches, *data_parallel_rank(trainer))
        return int(sampler.steps_per_pass) * trainer.accumulate_grad_batches

    @staticmethod
    def _now(module: Any) -> dict[str, Tensor]:
        reshard(module.model)
        return {name: local_shard(p).detach().clone() for name, p in _moving(module).items()}

    @torch.no_grad()
    def _edit(self, module: Any, coefficient: float, all_of_it: bool = False) -> None:
        start = self._start(module)
        reshard(module.model)
        for name, parameter in _moving(module).items():
            tuned = self._tuned[name]
            keeps_sign = not all_of_it and _is_part(FIRST_FACTORS, name)
            edited = tuned if keeps_sign else negated(start[name], tuned, coefficient)
            local_shard(parameter).data.copy_(edited)

    @torch.no_grad()
    def _put_back(self, module: Any) -> None:
        if self._tuned:
            reshard(module.model)
            for name, parameter in _moving(module).items():
                local_shard(parameter).data.copy_(self._tuned[name])
            self._tuned = {}


def _is_part(parts: Sequence[str], name: str) -> bool:
    return any(part in name for part in parts)


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
