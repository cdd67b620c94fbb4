"""Keep the weights from which every episode starts, and put them back."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.functional import tensor_checksum
from lightning_untrac.sharding import local_shard, reshard

CHECKPOINT_HINT = "; pass PreUnlearningWeights(folder=...) to keep them on disk for resuming"


class PreUnlearningWeights(Callback):
    """Start every episode of a fit from the same weights, to the last bit.

    The weights are copied when training starts (``on_train_start`` is the first hook at which they are in place under
    every strategy) and copied back in place before every later episode and at the end of the fit, together with fresh
    optimizer, schedule and loss-scaler state. In place, because the optimizer, tied weights and a strategy's buckets
    and shards refer to the very tensors. Each rank keeps its own shard: no gather, ``1/world`` of the memory.

    Only what can change is kept: parameters with ``requires_grad``, and buffers. With LoRA that is the adapters.

    A checksum is taken at the start and compared after the last restore; and an episode in which no parameter moved
    is an error, because its influences of exactly 0 would look like an answer.

    Args:
        store_on: ``cpu`` (pinned where there is a GPU) or ``device``, which restores faster and costs device memory.
            Where steps need the weights too (an objective with a reference), they are on the device anyway.
        folder: also keep the weights in this folder, as safetensors with a checksum. Needed only to resume a fit from
            a Lightning checkpoint of yours: the checkpoint holds the weights of the episode that it interrupted.

    Raises:
        UnlearningError: if an episode moved nothing, or the restored weights differ from the kept ones.
        ConfigurationError: on resuming, if the weights were not kept on disk or their checksum is another.

    Example::

        trainer = L.Trainer(
            max_epochs=len(corpora), reload_dataloaders_every_n_epochs=1, callbacks=[PreUnlearningWeights()]
        )
        trainer.fit(Unlearning("facebook/opt-125m"), CorpusDataModule(corpora=corpora, test_sets=test_sets))
    """

    def __init__(self, store_on: Literal["cpu", "device"] = "cpu", folder: str | Path | None = None) -> None:
        self.store_on = store_on
        self.folder = Path(folder) if folder is not None else None
        self.checksum: str | None = None
        self._kept: dict[str, Tensor] = {}
        self._optimizer_states: list[Any] = []
        self._scheduler_states: list[Any] = []
        self._precision_state: dict[str, Any] = {}
        self._resumed: dict[str, str] | None = None
        self._steps_need_it = False

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Before a checkpoint gives the optimizer and the schedule the state that they had inside an episode.
        self._optimizer_states = [_without_state(o.state_dict()) for o in trainer.optimizers]
        self._scheduler_states = [copy.deepcopy(c.scheduler.state_dict()) for c in trainer.lr_scheduler_configs]
        self._precision_state = copy.deepcopy(trainer.precision_plugin.state_dict())

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        reference = getattr(pl_module, "reference", None)
        self._steps_need_it = reference is not None and reference.keeps_weights
        self._kept = {name: self._copy(tensor) for name, tensor in _changeable(pl_module)}
        if self._resumed is not None:
            self._load(self._path(trainer), self._resumed)
        self.checksum = tensor_checksum(self._kept.items())
        if reference is not None and self._steps_need_it:
            reference.start_weights = self._kept  # kept once, for both
        if self.folder is not None and self._resumed is None:
            self._save(self._path(trainer))

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Lightning skips this hook when a fit is resumed inside an episode, and rightly so: that one goes on.
        self.restore(trainer, pl_module)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainable = [
            (local_shard(tensor), self._kept[name]) for name, tensor in _changeable(pl_module) if tensor.requires_grad
        ]
        moved = any(not torch.equal(now.to(kept.device), kept) for now, kept in trainable)
        self._warn_of_lost_steps(trainable)
        # One rank of a sharded model may hold nothing that moved; all ranks must agree before one of them raises.
        if not trainer.strategy.reduce_boolean_decision(moved, all=False):
            raise UnlearningError(
                f"episode {trainer.current_epoch + 1} moved no weight at all: check the learning rate, `trainable`, "
                "and with LoRA and gradient checkpointing that the model's inputs require gradients "
                "(model.enable_input_require_grads())"
            )

    def _warn_of_lost_steps(self, trainable: list[tuple[Tensor, Tensor]]) -> None:
        half = [(now, kept) for now, kept in trainable if now.dtype in (torch.bfloat16, torch.float16)]
        total = sum(kept.numel() for _, kept in half)
        share = sum(int((now.to(kept.device) != kept).sum()) for now, kept in half) / total if total else 1.0
        if 0 < share < 0.5:
            warnings.warn(
                f"only {share:.0%} of the half-precision weights moved in an episode: steps smaller than about 1/256 "
                "of a weight are lost in bfloat16. Keep float32 weights (bf16-mixed), or raise the learning rate",
                stacklevel=2,
            )

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.restore(trainer, pl_module)
        found = tensor_checksum((name, local_shard(tensor)) for name, tensor in _changeable(pl_module))
        # Each rank has shards of its own; where one rank raised alone the others would wait for it.
        if not trainer.strategy.reduce_boolean_decision(found == self.checksum, all=True):
            raise UnlearningError(
                f"the restored weights differ from the pre-unlearning weights (SHA-256 {found[:12]} on rank "
                f"{trainer.global_rank}, {(self.checksum or '')[:12]} kept); the influences of this run can't be "
                "trusted"
            )

    @override
    def state_dict(self) -> dict[str, Any]:
        # Tensors stay out: in a sharded checkpoint only rank 0's would be written.
        return {"checksum": self.checksum, "folder": str(self.folder) if self.folder else None}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["folder"] is None:
            raise ConfigurationError(
                ["checkpoint: it holds the weights of an interrupted episode but not the pre-unlearning weights"
                 + CHECKPOINT_HINT]
            )  # fmt: skip
        self._resumed = state_dict

    # -- keeping and restoring -------------------------------------------------------------------------------------

    def restore(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the pre-unlearning weights back and reset the optimizer, schedule and loss scaler.

        Args:
            trainer: of the running fit.
            pl_module: whose weights are restored, in place.
        """
        with torch.no_grad():
            for name, tensor in _changeable(pl_module):
                local_shard(tensor).copy_(self._kept[name])
        for optimizer, state in zip(trainer.optimizers, self._optimizer_states, strict=True):
            # An episode may have ended between two micro-batches of a step, with gradients left over.
            optimizer.zero_grad(set_to_none=True)
            optimizer.load_state_dict(copy.deepcopy(state))
        for config, state in zip(trainer.lr_scheduler_configs, self._scheduler_states, strict=True):
            config.scheduler.load_state_dict(copy.deepcopy(state))
        if self._precision_state:
            trainer.precision_plugin.load_state_dict(copy.deepcopy(self._precision_state))

    def _copy(self, tensor: Tensor) -> Tensor:
        local = local_shard(tensor).detach()
        if self.store_on == "device" or self._steps_need_it or local.device.type == "cpu":
            return local.clone()
        return local.to("cpu").pin_memory()

    def _path(self, trainer: L.Trainer) -> Path:
        return (self.folder or Path()) / f"pre_unlearning_weights_rank_{trainer.global_rank}.safetensors"

    def _save(self, path: Path) -> None:
        from safetensors.torch import save

        from lightning_untrac.tables import atomic_write_bytes

        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, save(self._kept, metadata={"checksum": str(self.checksum)}))

    def _load(self, path: Path, expected: dict[str, str]) -> None:
        from safetensors.torch import load_file

        path = Path(expected["folder"]) / path.name
        if not path.is_file():
            raise ConfigurationError([f"checkpoint: the pre-unlearning weights {path} are gone; begin anew"])
        kept = load_file(path)
        if kept.keys() != self._kept.keys() or tensor_checksum(kept.items()) != expected["checksum"]:
            raise ConfigurationError([f"{path}: damaged, or of another model or number of ranks; begin anew"])
        self._kept = {name: self._copy(tensor) for name, tensor in kept.items()}


def _changeable(module: L.LightningModule) -> Iterator[tuple[str, Tensor]]:
    """Trainable parameters (tied ones once) and buffers, of the model alone: metric states are not weights."""
    model = getattr(module, "model", None)
    model = model if isinstance(model, torch.nn.Module) else module
    reshard(model)
    trainable = ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    return chain(trainable, model.named_buffers())


def _without_state(optimizer_state: dict[str, Any]) -> dict[str, Any]:
    """The optimizer's settings with no moments: what it was when it was made."""
    return {"state": {}, "param_groups": copy.deepcopy(optimizer_state["param_groups"])}
