"""Which layer's hidden states a term reads."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_untrac.objectives.terms import Outputs

DEFAULT: float = 0.25
"""Layer 7 of the 32 that the model of RMU's paper has."""


def checked_layer(term: str, layer: int | float) -> int | float:
    """A layer's number from 0, or a share of the depth above 0 and at most 1.

    Raises:
        ValueError: for anything else.
    """
    fits = layer >= 0 if isinstance(layer, int) else 0 < layer <= 1
    if not fits or isinstance(layer, bool):
        raise ValueError(
            f"{term}(layer={layer}): give the number of a layer from 0, e.g. 7, or a share of the depth above 0 and at "
            "most 1, e.g. 0.25"
        )
    return layer


def layer_problems(term: str, layer: int | float, num_layers: int) -> list[str]:
    """Whether a model has no such layer.

    Args:
        term: that reads it.
        layer: its number, or a share of the depth.
        num_layers: of the model.
    """
    if isinstance(layer, float) or layer < num_layers:
        return []
    return [
        f"model.unlearning_objective: {term}(layer={layer}) reads a layer that the model has not; it has {num_layers}, "
        f"so give a number from 0 to {num_layers - 1}, or a share of the depth such as 0.25"
    ]


def state_index(layer: int | float, num_layers: int) -> int:
    """Where the output of a layer stands among the hidden states, whose first are the embeddings.

    Args:
        layer: its number, or a share of the depth.
        num_layers: of the model.

    Example:
        >>> state_index(7, 32), state_index(0.25, 32), state_index(0.1, 2)
        (8, 8, 1)
    """
    return layer + 1 if isinstance(layer, int) else max(1, round(layer * num_layers))


def target_states(outputs: Outputs, layer: int | float) -> Tensor:
    """The output of a layer at the places of targets, ``[places, width]``, differentiable."""
    return _of(outputs.hidden_states, outputs, layer)


def states_of_views(outputs: Outputs, layer: int | float, views: int) -> list[Tensor]:
    """The output of a layer, ``[batch, length, width]``, in as many views: the step's own, then those with dropout."""
    found = [outputs.hidden_states, *outputs.views[: views - 1]]
    return [states[state_index(layer, len(states) - 1)] for states in found if states is not None]


def targets_of_views(outputs: Outputs, layer: int | float, views: int) -> Tensor:
    """:func:`target_states` of every view, one after the other: ``[views * places, width]``."""
    return torch.cat([states[outputs.places] for states in states_of_views(outputs, layer, views)])


def reference_target_states(outputs: Outputs, layer: int | float) -> Tensor:
    """The same of the model before unlearning."""
    return _of(outputs.reference_hidden_states, outputs, layer)


def _of(states: tuple[Tensor, ...] | None, outputs: Outputs, layer: int | float) -> Tensor:
    assert states is not None
    return states[state_index(layer, len(states) - 1)][outputs.places]
