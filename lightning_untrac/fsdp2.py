"""Lightning's strategy for FSDP2, which here also goes on from the checkpoint of an optimizer without a state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from typing_extensions import override


class FSDP2Strategy(ModelParallelStrategy):
    """Lightning's ``ModelParallelStrategy``, for optimizers without a state (plain SGD) too.

    Lightning 2.6 looks at the first parameter's state to see how a checkpoint names parameters, and ends with an
    ``IndexError`` where no parameter has one. Such an optimizer has its settings to take back, and no more.
    """

    @override
    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        path = Path(self.broadcast(checkpoint_path))
        saved = [] if path.is_dir() else _load(path, weights_only).get("optimizer_states", [])
        if not saved or any(one["state"] for one in saved):
            return super().load_checkpoint(path, weights_only)
        optimizers, self.optimizers = self.optimizers, []
        try:
            checkpoint = super().load_checkpoint(path, weights_only)
        finally:
            self.optimizers = optimizers
        for optimizer, state in zip(optimizers, saved, strict=True):
            for group, kept in zip(optimizer.param_groups, state["param_groups"], strict=True):
                group.update({name: value for name, value in kept.items() if name != "params"})
        return checkpoint


def _load(path: Path, weights_only: bool | None) -> dict[str, Any]:
    # Mapped into memory: the weights are not read.
    found: dict[str, Any] = torch.load(path, mmap=True, map_location="cpu", weights_only=weights_only)
    return found
