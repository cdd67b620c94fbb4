"""What is kept by parameter name: a part on each rank where weights are sharded, and whole in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lightning_untrac.sharding import as_sharded, local_shard


def whole_state(state: Any, parameters: Mapping[str, Tensor], keep: bool) -> Any:
    """A state in which whatever is kept by parameter name is whole; call it on every rank.

    Args:
        state: of nested dictionaries. In one whose keys are names of parameters, a tensor of the shape of this rank's
            part of that parameter is taken for such a part.
        parameters: of the model, by name.
        keep: whether this rank needs the whole tensors, as the one that writes the checkpoint does; elsewhere None
            stands for them, so that they take no memory.

    Returns:
        The state itself where no parameter is sharded.
    """
    if not isinstance(state, dict) or not any(hasattr(one, "to_local") for one in parameters.values()):
        return state
    found = {}
    for key, value in state.items():
        if _is_kept_by(parameters, key, value, local_shard):
            like: Any = parameters[key]
            whole: Any = as_sharded(value.to(like.device), like)
            whole = whole.full_tensor()
            found[key] = whole.cpu() if keep else None
        else:
            found[key] = whole_state(value, parameters, keep)
    return found


def own_state(state: Any, parameters: Mapping[str, Tensor]) -> Any:
    """The reverse of :func:`whole_state`: of whole tensors that are kept by parameter name this rank's part.

    Args:
        state: of nested dictionaries, the same on every rank.
        parameters: of the model, by name.
    """
    if not isinstance(state, dict) or not any(hasattr(one, "to_local") for one in parameters.values()):
        return state
    return {
        key: _cut(value, parameters[key])
        if _is_kept_by(parameters, key, value, lambda one: one)
        else own_state(value, parameters)
        for key, value in state.items()
    }


def _is_kept_by(parameters: Mapping[str, Tensor], key: Any, value: Any, part: Any) -> bool:
    of = parameters.get(key) if isinstance(key, str) else None
    return of is not None and isinstance(value, Tensor) and value.shape == part(of).shape


def _cut(whole: Tensor, like: Any) -> Tensor:
    from torch.distributed.tensor import distribute_tensor

    # Every rank has read the whole, so that none has to send it. A copy, because a checkpoint is mapped into memory.
    placed = distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
    return placed.to_local().clone()
