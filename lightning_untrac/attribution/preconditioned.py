"""Adam's second moments as an earlier training left them, and an optimizer that steps in their metric."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError

EXPECTED = (
    "expected a single file (not sharded) of a training with an optimizer that keeps exp_avg_sq (Adam, AdamW, NAdam, "
    "RAdam), on the same parameters"
)


class NoCheckpointError(ValueError):
    """There is no checkpoint of training in a place, or not yet."""


class SecondMoments:
    """The second moments in a checkpoint of training.

    Args:
        path: a Lightning checkpoint, or the output folder of ``untrac pretrain``, whose newest one counts.

    Raises:
        NoCheckpointError: in one line, if there is no such checkpoint.
        ValueError: in one line, if it is sharded or has no second moments.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = _checkpoint(Path(path))
        try:
            states = (
                torch.load(self.path, map_location="cpu", weights_only=True, mmap=True).get("optimizer_states") or []
            )
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise ValueError(
                f"the checkpoint {self.path} can't be read ({str(error).splitlines()[0]}); {EXPECTED}"
            ) from error
        if not states or not any("exp_avg_sq" in moments for moments in states[0]["state"].values()):
            raise ValueError(f"the checkpoint {self.path} has no second moments (exp_avg_sq); {EXPECTED}")
        self._moments: dict[int, dict[str, Any]] = states[0]["state"]
        self._trained = [(index, group) for group in states[0]["param_groups"] for index in group["params"]]

    def __len__(self) -> int:
        """How many parameters were trained."""
        return len(self._trained)

    def denominators(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``sqrt(v_hat) + eps``, with the training's own bias correction and eps.

        Args:
            parameters: those that were trained, in the order in which they were given to the optimizer.

        Returns:
            By name, in main memory; what no gradient had reached is missing.

        Raises:
            ValueError: in one line, if their number or a shape is another.
        """
        if len(parameters) != len(self):
            raise ValueError(
                f"the checkpoint {self.path} has second moments of {len(self)} parameters where {len(parameters)} are "
                f"asked for; {EXPECTED} (the same `trainable` and `lora`)"
            )
        found = {}
        for (name, parameter), (index, group) in zip(parameters.items(), self._trained, strict=True):
            moments = self._moments.get(index, {})
            if "exp_avg_sq" not in moments:
                continue
            squares = moments["exp_avg_sq"]
            if squares.shape != parameter.shape:
                raise ValueError(
                    f"the checkpoint {self.path} has second moments of the shape {tuple(squares.shape)} for {name}, "
                    f"which is {tuple(parameter.shape)}; {EXPECTED}"
                )
            correction = 1 - group["betas"][1] ** float(moments["step"])
            found[name] = (squares.to(torch.promote_types(squares.dtype, torch.float32)) / correction).sqrt()
            found[name] += group["eps"]
        return found


def _checkpoint(path: Path) -> Path:
    if path.is_file():
        return path
    folder = path / "checkpoints" / "pretrain"
    steps = {found: re.fullmatch(r"step=(\d+)\.ckpt", found.name) for found in folder.glob("step=*.ckpt")}
    numbers = {found: int(match[1]) for found, match in steps.items() if match is not None}
    if not numbers:
        raise NoCheckpointError(
            f"there is no checkpoint of training in {path} (a .ckpt file, or checkpoints/pretrain/step=*.ckpt in an "
            "output folder); run `untrac pretrain` with Adam or AdamW there, with its checkpoints on"
        )
    newest = max(numbers, key=lambda found: numbers[found])
    if newest.is_dir():
        raise ValueError(f"the checkpoint {newest} is sharded over several files; {EXPECTED}")
    return newest


class FrozenAdam(torch.optim.Optimizer):
    """Steps of ``lr * G / (sqrt(v_hat) + eps)``, with the second moments that training left, and no momentum.

    A fresh Adam forgets the training: its first step is the sign of one gradient, and the next ones follow the few
    gradients that it has seen. Here ``v_hat`` and ``eps`` are those of the checkpoint and stay so, so that every step
    is linear in its gradient and every episode begins in the same metric. One full-batch step of ``untrac``, divided by
    the learning rate, tends to the method ``adam_graddot``.

    Nothing bounds a step: gradients grow in ascent, and the metric does not grow with them. On a model of the
    quickstart, after 4 steps of 64, a learning rate of 2e-5 agreed with retraining as well as Adam's 5e-5 (mean
    Pearson .93), 1e-4 no more (.64), and at 1e-3 the loss collapsed. Take few steps, or read at the dataset's own rise.
    A weight that training hardly ever reached (the embedding of a token it did not hold) has next to no denominator
    and is thrown far by its first gradient: unlearn what was trained on.

    The moments belong to the optimizer and not to its state: what resets the state between episodes leaves them alone.
    Memory: one float32 tensor of the weights' size, half of Adam's.

    Args:
        params: as for every optimizer; all that were trained, in the same order.
        lr: learning rate.
        checkpoint: of the training: a Lightning checkpoint, or the output folder of ``untrac pretrain``.

    Raises:
        NoCheckpointError: when it is made, if there is no such checkpoint.
        ValueError: when it is made, if that is sharded or has no second moments.
        ConfigurationError: before the first step, if its parameters are others, or are sharded.

    Example::

        model:
          optimizer:
            class_path: lightning_untrac.attribution.preconditioned.FrozenAdam
            init_args: {lr: 2.0e-5, checkpoint: runs/a}
    """

    def __init__(self, params: Any, lr: float, checkpoint: str) -> None:
        if lr < 0:
            raise ValueError(f"lr: {lr}; give at least 0")
        self._moments: SecondMoments | None = SecondMoments(checkpoint)
        self._denominators: dict[Tensor, Tensor] = {}
        super().__init__(params, {"lr": lr})

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # What PreUnlearningWeights does before an episode, so that wrong moments are found before a gradient is taken.
        self._match()

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step.

        Args:
            closure: computes the loss and its gradients.

        Returns:
            The closure's.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._match()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter not in self._denominators:
                    raise _wrong(f"a parameter of the shape {tuple(parameter.shape)} has a gradient and had none then")
                parameter.addcdiv_(
                    parameter.grad, self._denominators[parameter].to(parameter.dtype), value=-group["lr"]
                )
        return loss

    def _match(self) -> None:
        if self._moments is None:
            return
        parameters = {
            f"parameter {number}": parameter
            for number, parameter in enumerate(one for group in self.param_groups for one in group["params"])
        }
        if any(isinstance(parameter, DTensor) for parameter in parameters.values()):
            raise _wrong("needs whole weights; use --trainer.strategy auto or ddp")
        try:
            found = self._moments.denominators(parameters)
        except ValueError as error:
            raise _wrong(str(error)) from error
        self._denominators = {parameters[name]: tensor.to(parameters[name].device) for name, tensor in found.items()}
        self._moments = None


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError([f"model.optimizer: FrozenAdam: {what}"])
