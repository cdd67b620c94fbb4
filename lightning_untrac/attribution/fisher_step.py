"""One step of unlearning with the inverse of a diagonal Fisher matrix, really taken, from the trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_untrac.attribution.gradients import DatasetGradients, PassResult
from lightning_untrac.attribution.passes import go_through
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.attribution.shares import training_shares
from lightning_untrac.data.passes import DatasetPass
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.gradients import damped, inner_product

FISHER_EXAMPLES = 256
"""Examples or blocks of each corpus that the Fisher matrix is estimated from, where ``max_examples`` doesn't say."""


@dataclass
class FisherStep:
    """Unlearn each of some datasets by one step, and read how much the losses of others rise.

    Attributes:
        unlearned: names of the datasets that are stepped on, each from the trained weights.
        read: names of the datasets whose losses are read.
        damping: added to the Fisher matrix, relative to the mean of its elements.
        target: first-order rise of the unlearned dataset's own loss, nats per token, which sets the step's size.
    """

    unlearned: Sequence[str]
    read: Sequence[str]
    damping: float
    target: float
    _fisher: dict[str, Tensor] = field(default_factory=dict)
    _start: dict[str, Tensor] = field(default_factory=dict)
    _losses: list[float] = field(default_factory=list)

    def rises(self, run: ScoringRun, name: str) -> Tensor:
        """Take the steps.

        Args:
            run: its Trainer, data and bound on the examples.
            name: what the progress bar calls this.

        Returns:
            ``[unlearned, read]`` float64: losses after minus before, nats per token.

        Raises:
            UnlearningError: if a gradient or the whole Fisher matrix is zero.
        """
        corpora = run.data.corpus_names
        shares = dict(zip(corpora, training_shares(run.data).tolist(), strict=True))
        drawn = FISHER_EXAMPLES if run.max_examples is None else run.max_examples
        losses = [DatasetPass(dataset, "loss", run.max_examples) for dataset in self.read]
        passes = [*(DatasetPass(corpus, "squares", drawn) for corpus in corpora), *losses]
        for dataset in self.unlearned:
            passes += [DatasetPass(dataset, "gradient", run.max_examples), *losses]

        def receive(module: DatasetGradients, one: DatasetPass, result: PassResult) -> None:
            if one.quantity == "squares":
                self._add(result.tensors, shares[one.dataset])
            elif one.quantity == "gradient":
                self._step(module, one.dataset, result.tensors)
            else:
                assert result.loss is not None
                self._losses.append(result.loss)
                if len(self._losses) % len(self.read) == 0:
                    self._restore(module)

        go_through(run, name, passes, receive)
        table = torch.tensor(self._losses, dtype=torch.float64).view(1 + len(self.unlearned), len(self.read))
        return table[1:] - table[0]

    def _add(self, squares: dict[str, Tensor], share: float) -> None:
        for name, tensor in squares.items():
            weighted = tensor.mul_(share)
            self._fisher[name] = self._fisher[name].add_(weighted) if name in self._fisher else weighted

    def _step(self, module: DatasetGradients, dataset: str, gradient: dict[str, Tensor]) -> None:
        parameters = module.trainable_parameters()
        if not self._start:
            self._start = {name: parameter.detach().clone() for name, parameter in parameters.items()}
            for name, parameter in parameters.items():  # one that no corpus reaches counts with the damping alone
                self._fisher.setdefault(name, torch.zeros_like(parameter, dtype=torch.float32))
            try:
                self._fisher = damped(self._fisher, self.damping)
            except ValueError as error:
                raise UnlearningError(f"fisher: {error}; check that the model is trained and finite") from error
        direction = {name: gradient[name] / self._fisher[name] for name in gradient}
        slope = inner_product(gradient, direction).item()
        if not slope > 0:
            raise UnlearningError(f"fisher: the gradient of {dataset} has the squared length {slope}; expected above 0")
        for name, tensor in direction.items():
            parameters[name].add_(tensor.to(parameters[name].dtype), alpha=self.target / slope)

    def _restore(self, module: DatasetGradients) -> None:
        for name, tensor in self._start.items():
            module.trainable_parameters()[name].copy_(tensor)
