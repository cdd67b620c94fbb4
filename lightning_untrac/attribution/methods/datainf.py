"""Influence functions with DataInf's closed form."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.attribution.curvature import NUM_HESSIAN_EXAMPLES, dataset_gradients, trainable_parameters
from lightning_untrac.attribution.reading import EveryDataset, batches_on, on_one_device
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.functional.hessian import flatten


class DataInf(Scoring):
    """Influence functions with the inverse of a mean exchanged for the mean of inverses, a parameter tensor at a time.

    ``(1/n sum g g^T + l I)^-1`` becomes ``1/n sum (g g^T + l I)^-1``, which Sherman and Morrison invert in closed form;
    ``g`` is the gradient of one block or example of the mixture, and ``l`` a tenth of the mean of a tensor's squared
    gradients, as in the paper.

    * Unit and sign: ``G . F^-1 . G'``, comparable within one model; positive = the corpus helps the model produce the
      test set.
    * Cost: a backward pass over every dataset, and 256 more, one block each. Memory: a gradient for each dataset.
    * Needs: nothing beside the core; one device.
    * Source: Kwon et al. 2024. Written here, because libraries score single examples.
    """

    method: ClassVar[str] = "datainf"
    title: ClassVar[str] = "DataInf"
    summary: ClassVar[str] = (
        "Estimates by an influence function, with a closed form for the inverse of each tensor's Fisher "
        "matrix, what giving a corpus more weight in training would do to each test set."
    )
    unit: ClassVar[str] = "G.F⁻¹.G'"
    gradient_passes: ClassVar[float] = 1.2
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "all"
    other_copies: ClassVar[float] = 1.0
    random: ClassVar[bool] = True

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        module = on_one_device(run, self.method)
        reader, parameters = EveryDataset(run.data, module, run.max_examples), trainable_parameters(module)
        sizes = [parameter.numel() for parameter in parameters]
        gradients = dataset_gradients(run, module, reader, parameters)
        mixture = reader.mixture(min(run.max_examples or NUM_HESSIAN_EXAMPLES, NUM_HESSIAN_EXAMPLES), run.seed)
        products, squares = [], []
        for batch in batches_on(module, reader.loader(mixture, batch_size=1)):
            if batch["has_targets"]:
                one = torch.autograd.grad(module.mean_loss(batch), parameters, materialize_grads=True)
                parts = flatten(one).to(gradients).split(sizes)
                pairs = list(zip(gradients.split(sizes, dim=1), parts, strict=True))
                products.append(torch.stack([every @ part for every, part in pairs]).double().cpu())
                squares.append(torch.stack([part.double().square().sum() for part in parts]).cpu())
        split = [len(run.data.corpus_names), len(run.data.test_set_names)]
        dots = []
        for part in gradients.split(sizes, dim=1):
            left, right = part.split(split)
            dots.append((left @ right.T).double().cpu())
        return closed_form(torch.stack(dots), torch.stack(products), torch.stack(squares), sizes, split[0]).numpy()


def closed_form(dots: Tensor, products: Tensor, squares: Tensor, sizes: list[int], num_corpora: int) -> Tensor:
    """DataInf's score from inner products alone.

    Args:
        dots: ``[tensors, corpora, test sets]``, ``G . G'``.
        products: ``[examples, tensors, corpora + test sets]``, ``g . G``.
        squares: ``[examples, tensors]``, ``g . g``.
        sizes: elements of each tensor.
        num_corpora: how many of the products' last axis are corpora.

    Returns:
        ``[corpora, test sets]``. A tensor without any gradient counts nothing.
    """
    total = torch.zeros_like(dots[0])
    for index, size in enumerate(sizes):
        damping = 0.1 * squares[:, index].mean() / size
        if not damping > 0:
            continue
        weighted = products[:, index] / (damping + squares[:, index])[:, None]
        correction = weighted[:, :num_corpora].T @ products[:, index, num_corpora:] / len(products)
        total += (dots[index] - correction) / damping
    return total
