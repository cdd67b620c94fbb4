"""Spread a transformers model over devices, block by block, and recompute activations where memory is short."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def repeated_blocks(model: nn.Module) -> list[tuple[nn.ModuleList, int]]:
    """The model's own blocks: the members of its outermost ``ModuleList``s, such as the layers of a transformer.

    Found by structure, not by class name, so that any architecture (and adapters around it) has them.

    Args:
        model: a transformers model.

    Returns:
        Each block as its list and its index there.

    Example:
        >>> block = nn.ModuleDict({"experts": nn.ModuleList([nn.Linear(1, 1)])})
        >>> [index for _, index in repeated_blocks(nn.ModuleDict({"layers": nn.ModuleList([block, block])}))]
        [0, 1]
    """
    found: list[tuple[nn.ModuleList, int]] = []

    def visit(module: nn.Module) -> None:
        for child in module.children():
            if isinstance(child, nn.ModuleList):
                found.extend((child, index) for index in range(len(child)))
            else:
                visit(child)

    visit(model)
    return found


def checkpoint_activations(model: nn.Module) -> None:
    """Keep only the inputs of each block in the forward pass, and compute it again in the backward pass.

    transformers' own switch works in training mode only; unlearning runs in evaluation mode, without dropout.

    Args:
        model: changed in place; its parameters keep their names.
    """
    for blocks, index in repeated_blocks(model):
        block = blocks[index]
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def fully_shard_blocks(model: nn.Module, mesh: DeviceMesh) -> None:
    """FSDP2: each block is a group of shards of its own, and what lies outside them (embeddings, head) is one more.

    Tied weights stay tied: they lie outside the blocks, in one group.

    Args:
        model: changed in place; its parameters become ``DTensor`` shards on the mesh's device.
        mesh: one-dimensional, of the data-parallel ranks.
    """
    from torch.distributed.fsdp import fully_shard

    for blocks, index in repeated_blocks(model):
        fully_shard(blocks[index], mesh=mesh)
    fully_shard(model, mesh=mesh)


def wrap_blocks(model: nn.Module) -> nn.Module:
    """FSDP1: the same groups, each wrapped as Lightning's ``FSDPStrategy`` says.

    Args:
        model: changed in place.

    Returns:
        The wrapped model; the model itself under any other strategy.
    """
    from torch.distributed.fsdp.wrap import wrap  # does nothing outside the strategy's own context

    for blocks, index in repeated_blocks(model):
        blocks[index] = wrap(blocks[index])
    # Twice: FSDP1 never lets go of what its outermost wrapper gathered in a forward pass without a backward pass, and
    # would compute with that copy after the shards were restored. An outermost wrapper of nothing has none.
    return wrap(wrap(model))


def reshard(model: nn.Module) -> None:
    """Let every parameter be this rank's shard again.

    After a forward pass without a backward pass FSDP2 leaves the outermost group whole, under other parameters than the
    optimizer's.

    Args:
        model: of any strategy; nothing is done where it is not sharded by FSDP2.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def is_sharded(model: nn.Module) -> bool:
    """Whether each rank holds a part of every parameter, so that what is summed over parts has to be over ranks too."""
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel

    return any(isinstance(module, FSDPModule | FullyShardedDataParallel) for module in model.modules())


def local_shard(tensor: Tensor) -> Tensor:
    """This rank's shard of a ``DTensor``, sharing its memory; any other tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def as_sharded(part: Tensor, like: Any) -> Tensor:
    """This rank's part of a tensor in the form of a parameter, of which it holds the same part.

    Args:
        part: on the device of the parameter.
        like: a ``DTensor``; of any other tensor the part is the whole.
    """
    if not hasattr(like, "to_local"):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of a model, gathered from its shards; call it on every rank.

    Args:
        model: of any strategy.

    Returns:
        Its own tensors where it is not sharded; whole copies in main memory on the first rank, and nothing on the
        others, where it is.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel

    if not isinstance(model, (FSDPModule, FullyShardedDataParallel)):
        return model.state_dict()
    on_cpu = next(model.parameters()).device.type == "cpu"
    weights: dict[str, Any] = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=not on_cpu)
    )
    # Each name was gathered by itself: let tied weights be one tensor again, or they would be saved twice.
    first: dict[int, str] = {}
    for wrapped_name, parameter in model.named_parameters(remove_duplicate=False):
        name = wrapped_name.replace("_fsdp_wrapped_module.", "")  # what FSDP1 puts into names
        tied_to = first.setdefault(id(parameter), name)
        if tied_to != name and tied_to in weights and name in weights:
            weights[name] = weights[tied_to]
    return weights
