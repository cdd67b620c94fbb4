"""Tensors beside the trainable parameters that an objective keeps for a whole episode."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from lightning_untrac.objectives.base import Unlearns


@dataclass
class KeptWeights:
    """One tensor for each trainable parameter, by its name.

    Attributes:
        tensors: empty before the first step of a fit.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, module: Unlearns) -> KeptWeights:
        """Copies of a module's trainable parameters."""
        return cls({name: p.detach().clone() for name, p in module.trainable_parameters().items()})

    def beside(self, module: Unlearns) -> dict[str, Tensor]:
        """The tensors, on the devices of the module's parameters (from a checkpoint they come on the CPU).

        Raises:
            RuntimeError: if there are none, or they belong to other parameters.
        """
        parameters = module.trainable_parameters()
        if self.tensors.keys() != parameters.keys():
            raise RuntimeError(
                f"the objective keeps {len(self.tensors)} tensors and the module has {len(parameters)} trainable "
                "parameters; call prepare(module) before the first step, with the parameters that are going to move"
            )
        for name, parameter in parameters.items():
            if self.tensors[name].device != parameter.device:
                self.tensors[name] = self.tensors[name].to(parameter.device)
        return self.tensors
