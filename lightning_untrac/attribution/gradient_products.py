"""Every corpus' gradient times every test set's: what GradDot and its relatives are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_untrac.attribution.gradients import DatasetGradients, PassResult
from lightning_untrac.attribution.passes import go_through
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.data.passes import DatasetPass
from lightning_untrac.functional.gradients import inner_product
from lightning_untrac.modules import LanguageModule

Precondition = Callable[[DatasetGradients, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class GradientProducts:
    """Inner products and norms of gradients of mean losses per token, (nats/token)^2 per squared unit of weight.

    Attributes:
        products: ``[corpora, test sets]`` float64.
        corpus_norms: ``[corpora]`` float64, Euclidean.
        test_set_norms: ``[test sets]`` float64, without preconditioning.
    """

    products: Tensor
    corpus_norms: Tensor
    test_set_norms: Tensor


def gradient_products(
    run: ScoringRun,
    name: str,
    phase: LanguageModule | None = None,
    precondition: Precondition | None = None,
) -> GradientProducts:
    """Multiply every corpus' gradient with every test set's.

    The test sets' gradients are kept on the CPU; each corpus' is multiplied with them and let go. Products are taken
    and summed in float64.

    Args:
        run: its Trainer, data and bound on the examples.
        name: what the progress bar calls this.
        phase: whose model it is; that of the run by default.
        precondition: a symmetric matrix times a gradient, in main memory, by parameter name; applied to the test sets'.
    """
    data = run.data
    kept: dict[str, dict[str, Tensor]] = {}
    rows: list[Tensor] = []
    norms: dict[str, Tensor] = {}

    def receive(module: DatasetGradients, one: DatasetPass, result: PassResult) -> None:
        gradient = {key: tensor.cpu() for key, tensor in result.tensors.items()}
        norms[one.dataset] = inner_product(gradient, gradient)
        if one.dataset in data.test_set_names:
            kept[one.dataset] = precondition(module, gradient) if precondition is not None else gradient
        else:
            rows.append(torch.stack([inner_product(gradient, kept[test_set]) for test_set in data.test_set_names]))

    names = [*data.test_set_names, *data.corpus_names]
    module = go_through(
        run, name, [DatasetPass(dataset, "gradient", run.max_examples) for dataset in names], receive, phase
    )
    squared = torch.stack([norms[dataset] for dataset in names])
    everything = torch.cat([torch.stack(rows).flatten(), squared])
    if module.is_sharded:
        strategy = module.trainer.strategy
        everything = torch.as_tensor(strategy.reduce(everything.to(strategy.root_device), reduce_op="sum")).cpu()
    products, squared = everything.split([len(rows) * len(data.test_set_names), len(names)])
    test_set_norms, corpus_norms = squared.sqrt().split([len(data.test_set_names), len(data.corpus_names)])
    return GradientProducts(products.view(len(rows), -1), corpus_norms, test_set_norms)
