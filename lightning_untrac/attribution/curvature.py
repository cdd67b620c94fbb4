"""Gradients of whole datasets, and products with the Hessian of the loss on the mixture of corpora."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from lightning_untrac.attribution.reading import EveryDataset, batches_on, on_one_device
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.hessian import HessianProduct, flatten, hessian_vector_products
from lightning_untrac.modules import LanguageModule

NUM_HESSIAN_EXAMPLES = 256
"""Blocks or examples of the mixture over which a Hessian is taken (the UnTrac paper's number), unless the run reads
fewer."""


def dataset_gradients(
    run: ScoringRun, module: LanguageModule, reader: EveryDataset, parameters: Sequence[torch.nn.Parameter]
) -> Tensor:
    """Gradient of every dataset's mean loss per token.

    Returns:
        ``[corpora + test sets, parameters]``, float32 at least, on the module's device.

    Raises:
        ConfigurationError: if a dataset has no target token.
    """
    rows = []
    for name in run.progress(reader.evaluation_names, "gradients of the datasets"):
        total, num_tokens = None, 0
        for batch in batches_on(module, reader.loader(reader.examples([name]))):
            if not batch["has_targets"]:
                continue
            count = int(module.num_targets(batch))
            gradient = flatten(torch.autograd.grad(module.mean_loss(batch), parameters, materialize_grads=True))
            gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32)) * count
            total, num_tokens = gradient if total is None else total.add_(gradient), num_tokens + count
        if total is None:
            raise ConfigurationError([f"{name}: has no target token, so its loss has no gradient; expected at least 1"])
        rows.append(total / num_tokens)
    return torch.stack(rows)


def mixture_hessian(
    module: LanguageModule, reader: EveryDataset, parameters: Sequence[torch.nn.Parameter], mixture: Concatenation
) -> HessianProduct:
    """Multiply by the Hessian of the mean loss per token on a sample of the mixture."""
    batches = [batch for batch in batches_on(module, reader.loader(mixture)) if batch["has_targets"]]
    num_tokens = sum(int(module.num_targets(batch)) for batch in batches)

    def product(vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        # The fused attention kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            for batch in batches:
                loss = module.mean_loss(batch) * (int(module.num_targets(batch)) / num_tokens)
                total += hessian_vector_products(loss, parameters, vectors)
        return total

    return product


class HessianInfluence(Scoring):
    """Influence functions: ``G_k . (H + damping)^-1 . G'``, with exact Hessian-vector products.

    ``G_k`` and ``G'`` are the gradients of the mean loss per target token of corpus and test set, so that corpora of
    unequal size are comparable, and ``H`` is the Hessian of the mean loss per token on a sample of the mixture, drawn
    with the run's seed. A subclass inverts it.

    Raises:
        ConfigurationError: if no parameter is trainable, on several devices, or for an attention kernel without a
            second derivative.
    """

    random = True

    @abstractmethod
    def inverse_products(self, hessian: HessianProduct, left: Tensor, right: Tensor, seed: int) -> Tensor:
        """``left (H + damping)^-1 right``.

        Args:
            hessian: multiplies by H.
            left: ``[corpora, parameters]``.
            right: ``[test sets, parameters]``.
            seed: of whatever is drawn.

        Returns:
            ``[corpora, test sets]``.
        """

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        module = on_one_device(run, self.method)
        _refuse_kernels_without_second_derivative(module, self.method)
        reader = EveryDataset(run.data, module, run.max_examples)
        parameters = trainable_parameters(module)
        gradients = dataset_gradients(run, module, reader, parameters)
        left, right = gradients.split([len(run.data.corpus_names), len(run.data.test_set_names)])
        num_examples = min(run.max_examples or NUM_HESSIAN_EXAMPLES, NUM_HESSIAN_EXAMPLES)
        hessian = mixture_hessian(module, reader, parameters, reader.mixture(num_examples, run.seed))
        return self.inverse_products(hessian, left, right, run.seed).double().cpu().numpy()


def trainable_parameters(module: LanguageModule) -> list[torch.nn.Parameter]:
    """What gradients are taken in.

    Raises:
        ConfigurationError: if there is nothing.
    """
    found = list(module.trainable_parameters().values())
    if not found:
        raise ConfigurationError(["model: no parameter is trainable; check `trainable` and `lora`"])
    return found


def random_direction(like: Tensor, seed: int) -> Tensor:
    """A standard normal vector of the shape, dtype and device of ``like``, drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator, dtype=torch.float32).to(like)


def _refuse_kernels_without_second_derivative(module: LanguageModule, method: str) -> None:
    config: Any = module.model.config if module.model is not None else None
    kernel = getattr(config, "_attn_implementation", None)
    if kernel not in (None, "eager", "sdpa"):
        raise ConfigurationError(
            [f"model.attn_implementation: {kernel!r} has no second derivative, which {method} needs; use eager or sdpa"]
        )
