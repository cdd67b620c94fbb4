"""Which of Lightning's strategies a trace can run on, and FSDP2 under a name of its own."""

from __future__ import annotations

from typing import Any

FSDP2 = "fsdp2"
"""What ``--trainer.strategy`` calls Lightning's ``ModelParallelStrategy`` with every device sharding the same model."""


ADVICE = f"use auto (one device), ddp, {FSDP2} (sharded weights) or fsdp (sharded weights, GPUs only)"


WHOLE_GRADIENTS = "each rank holds a part of the weights; use --trainer.strategy auto or ddp"
"""What ends a sentence about what can't be had of sharded weights."""


def fsdp2_strategy(num_devices: int) -> Any:
    """FSDP2 for sharding alone, with checkpoints of one file: Lightning's ``ModelParallelStrategy``.

    Args:
        num_devices: devices of all machines together.
    """
    from lightning_untrac.fsdp2 import FSDP2Strategy

    # Lightning's own default is tensor parallelism within a machine, which needs a plan for each architecture.
    return FSDP2Strategy(data_parallel_size=num_devices, tensor_parallel_size=1, save_distributed_checkpoint=False)


def strategy_problems(strategy: Any) -> list[str]:
    """Why a strategy can't be traced with; empty where it can.

    Args:
        strategy: of a Trainer. How many ranks share a tensor is known only once its ranks have met.
    """
    from lightning.pytorch import strategies as known

    name = type(strategy).__name__
    kept_in_place = (known.SingleDeviceStrategy, known.DDPStrategy, known.FSDPStrategy, known.ModelParallelStrategy)
    # Subclasses of those that keep weights elsewhere or in other forms.
    elsewhere = (known.DeepSpeedStrategy, known.XLAStrategy, known.SingleDeviceXLAStrategy)
    if isinstance(strategy, elsewhere) or not isinstance(strategy, kept_in_place):
        return [f"trainer.strategy: {name} keeps weights where they can't be restored in place; {ADVICE}"]
    if type(getattr(strategy, "launcher", None)).__name__ == "_MultiProcessingLauncher":
        return [f"trainer.strategy: {name} starts its ranks by fork or spawn, and what they find stays there; {ADVICE}"]
    if isinstance(strategy, known.ModelParallelStrategy) and _tensor_parallel_size(strategy) > 1:
        return [f"trainer.strategy: {name} with tensor parallelism needs a plan for each architecture; {ADVICE}"]
    return []


def waits_for_every_gradient(strategy: Any) -> bool:
    """Whether a strategy waits for the gradient of every parameter, and fails where one gets none: plain DDP."""
    from lightning.pytorch.strategies import DDPStrategy

    return isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters")


def shards_weights(strategy: Any) -> bool:
    """Whether each rank of a strategy holds a part of every parameter: FSDP and FSDP2."""
    from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

    return isinstance(strategy, FSDPStrategy | ModelParallelStrategy)


def named_shards(strategy: object) -> bool:
    """The same of a strategy as the user gave it, before there is one.

    Args:
        strategy: a name, or a class path with arguments.

    Example:
        >>> named_shards("fsdp2"), named_shards({"class_path": "my.FSDPStrategy"}), named_shards("ddp")
        (True, True, False)
    """
    return any(word in str(strategy) for word in ("fsdp", "FSDP", "ModelParallel"))


def name_problems(strategy: object, accelerator: object) -> list[str]:
    """What is wrong with a strategy's name, before Lightning says how to install what would be refused anyway.

    Args:
        strategy: as the user gave it.
        accelerator: as the user gave it.
    """
    if not isinstance(strategy, str):
        return []
    if strategy.startswith(("deepspeed", "xla")):
        return [f"trainer.strategy: {strategy} keeps weights where they can't be restored in place; {ADVICE}"]
    if strategy.startswith("fsdp") and strategy != FSDP2 and accelerator == "cpu":
        return [f"trainer.strategy: {strategy} needs GPUs; use {FSDP2}, which shards on a CPU too"]
    return []


def _tensor_parallel_size(strategy: Any) -> int:
    try:
        return int(strategy.device_mesh["tensor_parallel"].size())
    except RuntimeError:  # what Lightning raises before the ranks have met
        return 1
