"""A head of its own between a model's hidden states and a contrastive term."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override


class ProjectionHead(nn.Module):
    """Linear, ReLU, linear, as SimCLR (Chen et al. 2020, arXiv 2002.05709) and supervised contrastive learning have it.

    A contrastive term throws away what does not help it; behind such a head it does so there, and less in the states
    that the classifier reads. It is trained along with the model and thrown away after.

    Args:
        width: of the hidden states.
        out: of what comes out.

    Example:
        >>> ProjectionHead(8, 3)(torch.zeros(5, 8)).shape
        torch.Size([5, 3])
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
        self._first = {name: tensor.clone() for name, tensor in self.state_dict().items()}

    @override
    def forward(self, states: Tensor) -> Tensor:
        """Project.

        Args:
            states: ``[rows, width]``.

        Returns:
            ``[rows, out]``.
        """
        found: Tensor = self.layers(states.to(next(self.parameters()).dtype))
        return found

    def begin(self) -> None:
        """Take the weights that it was made with again, in place: each episode begins with the same ones."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(self._first[name])
