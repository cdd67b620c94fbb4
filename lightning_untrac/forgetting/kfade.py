"""K-FADE: steps that raise the forget set's loss most for the least change of what the model says elsewhere."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Subset
from typing_extensions import override

from lightning_untrac.attribution.kronecker import NUM_FACTOR_EXAMPLES, fit_factors, linear_layers, precondition
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.divergence import sampled_kl
from lightning_untrac.functional.gauss_newton import scale_to_budget
from lightning_untrac.modules.reference import SwappedWeights
from lightning_untrac.objectives import GradientAscent, Objective

DIVERGENCE_EXAMPLES, NUM_DRAWS = 64, 32
"""Examples or blocks of what stays on which the divergence is measured, and tokens that are drawn at each place."""

LARGER, SMALLER, TRIES = 8.0, 0.8, 24
"""The line search: the most by which a first step is lengthened, by what it is shortened, and how often."""


class KFade(ForgettingMethod):
    """One or a few steps up ``(G + damping)^-1 g``, as long as a budget of divergence on what stays allows.

    ``g`` is the gradient of the forget set's loss, and ``G`` the Gauss-Newton matrix on data that stay, by EK-FAC from
    the same factors that ``untrac trace --method ekfac`` fits: at most 1024 blocks or examples, labels drawn from the
    model, linear layers without the output layer. Only those layers move. Damping is a tenth of each layer's mean
    eigenvalue unless it is given. Step ``t`` of ``n`` is as long as the divergence KL(before, now) allows, which is
    measured on 64 retained examples and may be ``budget (t/n)^2`` nats per token; a length is tried from
    the quadratic model, and shortened until it holds.

    K-FADE is arXiv 2602.10568, which we have not seen: this is our reading of its idea, and not its algorithm.

    Needs the package kronfluence and one device. Memory: a copy of the model while the factors are fitted, and those.

    Args:
        budget: of divergence on what stays, nats per token.
        damping: added to the eigenvalues, in the unit of whole blocks' or examples' summed losses.
    """

    name: ClassVar[str] = "kfade"
    package: ClassVar[str | None] = "kronfluence"
    extra: ClassVar[str | None] = "influence"
    batch_size: ClassVar[int | None] = 256
    steps: ClassVar[int | None] = 1
    one_device: ClassVar[str | None] = "kronfluence's factors are fitted and applied to whole weights"

    def __init__(self, budget: float = 0.05, damping: float | None = None) -> None:
        self.budget, self.damping = budget, damping
        self._steps = GaussNewtonSteps(budget, damping)

    @override
    def prepare(self, module: Any) -> list[str]:
        module.unlearning_objective = Objective(GradientAscent())
        module.optimizer = _plain_steps
        module.keeps_start = module.keeps_retained = True
        return [f"damped Gauss-Newton steps with EK-FAC, up to a divergence of {self.budget:g} nats on what stays"]

    @override
    def callbacks(self) -> list[Callback]:
        return [self._steps]

    @override
    def notes(self) -> list[str]:
        divergence = self._steps.divergence
        return [] if divergence is None else [f"a divergence of {divergence:.4f} nats per token on what stays"]

    @override
    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 < self.budget < math.inf:
            found.append(f"method.budget: {self.budget}; give nats per token above 0, e.g. 0.05")
        if self.damping is not None and not 0 < self.damping < math.inf:
            found.append(f"method.damping: {self.damping}; give a number above 0, or leave it out")
        return found


def _plain_steps(parameters: Any) -> torch.optim.Optimizer:
    """Takes a step that is in the gradients already."""
    return torch.optim.SGD(parameters, lr=1.0)


class GaussNewtonSteps(Callback):
    """Puts the step in the place of the gradients, before an optimizer that subtracts them.

    The factors and the tokens by which the divergence is measured are made from the weights before unlearning, the same
    in a run that goes on from a checkpoint.

    Args:
        budget: of divergence on what stays, nats per token.
        damping: added to the eigenvalues; None for a tenth of their mean in each layer.

    Attributes:
        divergence: from the model before unlearning, after the newest step.
    """

    def __init__(self, budget: float, damping: float | None) -> None:
        self.budget, self.damping = budget, damping
        self.divergence: float | None = None
        self._factors: Any = None
        self._names: list[str] = []
        self._drawn: list[tuple[Tensor, Tensor]] = []
        self._block = 0.0  # target tokens of a block or an example

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._factors, self.divergence = None, None

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        if self._factors is None:
            with SwappedWeights().in_place(pl_module):
                self._fit(trainer, pl_module)
        steps = math.ceil(int(trainer.num_training_batches) / trainer.accumulate_grad_batches)
        share = min(1.0, (trainer.global_step + 1) / steps)
        directions, slope = self._directions(pl_module)
        try:
            # The damping's part is left out: it differs between layers, and the search lengthens the step.
            scale = scale_to_budget(slope, 0.0, 0.0, self.budget * share**2 * self._block)
        except ValueError as error:
            raise UnlearningError(
                f"kfade: {error}; the forget set has no gradient in the linear layers, or it is not finite"
            ) from error
        scale = self._search(pl_module, directions, scale, self.budget * share**2)
        for parameter in pl_module.trainable_parameters().values():
            parameter.grad = None
        for parameter, direction in directions:
            parameter.grad = direction.mul_(-scale).to(parameter.dtype)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"divergence": self.divergence}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.divergence = state_dict["divergence"]

    # -- direction -------------------------------------------------------------------------------------------------

    def _fit(self, trainer: L.Trainer, module: Any) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        loader = data.retained_dataloader(NUM_FACTOR_EXAMPLES)
        examples = Subset(loader.dataset, [batch[0] for batch in loader.batch_sampler])
        # kronfluence wraps the layers, and GPT-2's are made linear: of a copy, which Lightning's own __getstate__
        # makes without the Trainer.
        other = copy.deepcopy(module)
        self._names = linear_layers(other)
        self._factors = fit_factors(
            other,
            self._names,
            examples,
            loader.collate_fn,
            strategy="ekfac",
            batch_size=data.eval_batch_size,
            seed=module.episode_seed,
        )
        del other
        generator = torch.Generator(module.device).manual_seed(module.episode_seed)
        self._drawn, count = [], 0
        for log_probs in self._predictions(module):
            tokens = torch.multinomial(log_probs.exp(), NUM_DRAWS, replacement=True, generator=generator)
            self._drawn.append((tokens.int(), log_probs.gather(1, tokens)))
            count += len(tokens)
        if not count:
            raise ConfigurationError(["corpora: what is to stay has no target token, so nothing holds kfade's steps"])
        self._block = count / len(self._drawn)

    def _directions(self, module: Any) -> tuple[list[tuple[nn.Parameter, Tensor]], float]:
        """Uphill steps of the layers' weights and biases, and their product with the gradient of the loss.

        The gradient is of a mean over tokens, and the factors are of whole blocks: the scale comes later.
        """
        found: list[tuple[nn.Parameter, Tensor]] = []
        slope = 0.0
        for name in self._names:
            layer: Any = module.get_submodule(name)
            turned = not isinstance(layer, nn.Linear) and type(layer).__name__ == "Conv1D"
            moving = [p for p in (layer.weight, layer.bias) if p is not None and p.grad is not None]
            if not moving:
                continue
            weight = -_gradient(layer.weight)  # the objective is ascent's
            matrix = weight.T if turned else weight
            if layer.bias is not None:
                matrix = torch.cat([matrix, -_gradient(layer.bias)[:, None]], dim=1)
            step = precondition(self._factors, "ekfac", name, matrix[None], self.damping)[0]
            of_weight = step[:, : matrix.shape[1] - (layer.bias is not None)]
            steps = {layer.weight: of_weight.T if turned else of_weight}
            if layer.bias is not None:
                steps[layer.bias] = step[:, -1]
            for parameter in moving:
                slope -= float((_gradient(parameter).double() * steps[parameter]).sum())
                found.append((parameter, steps[parameter].contiguous()))
        return found, slope

    # -- length ----------------------------------------------------------------------------------------------------

    def _search(self, module: Any, directions: list[tuple[nn.Parameter, Tensor]], scale: float, budget: float) -> float:
        held = [parameter.detach().clone() for parameter, _ in directions]
        tried = self._divergence(module, directions, held, scale)
        if 0 < tried < math.inf:  # by the quadratic model, from the length that its upper bound allows
            scale *= min(LARGER, math.sqrt(budget / tried))
        for _ in range(TRIES):
            self.divergence = self._divergence(module, directions, held, scale)
            if self.divergence <= budget:
                return scale
            scale *= SMALLER
        raise UnlearningError(
            f"kfade: no step of {TRIES} lengths kept the divergence on what stays below {budget:g} nats per token (the "
            f"last was {self.divergence:g}); give a larger method.budget, or a larger method.damping"
        )

    @torch.no_grad()
    def _divergence(
        self, module: Any, directions: list[tuple[nn.Parameter, Tensor]], held: list[Tensor], scale: float
    ) -> float:
        for (parameter, direction), start in zip(directions, held, strict=True):
            parameter.copy_(start + scale * direction)
        total, count = 0.0, 0
        for (tokens, before), now in zip(self._drawn, self._predictions(module), strict=True):
            total += float(sampled_kl(before, now.gather(1, tokens.long())).double().mean(dim=1).sum())
            count += len(tokens)
        for (parameter, _), start in zip(directions, held, strict=True):
            parameter.copy_(start)
        return total / count if math.isfinite(total) else math.inf

    @torch.no_grad()
    def _predictions(self, module: Any) -> Iterator[Tensor]:
        """Of each example its log-probabilities, ``[target tokens, vocabulary]``."""
        with module.without_dropout(), module.trainer.precision_plugin.val_step_context():
            for batch in module.retained_examples(DIVERGENCE_EXAMPLES):
                logits, targets = module(batch)
                yield logits[targets != IGNORE_INDEX].float().log_softmax(dim=-1)


def _gradient(parameter: nn.Parameter) -> Tensor:
    """In float32; zeros where there is none."""
    return torch.zeros_like(parameter, dtype=torch.float32) if parameter.grad is None else parameter.grad.float()
