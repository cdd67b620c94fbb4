"""Influence functions through kronfluence's factors of the Fisher matrix."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lightning_untrac.attribution.curvature import dataset_gradients
from lightning_untrac.attribution.reading import EveryDataset, on_one_device
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.modules import LanguageModule

NUM_FACTOR_EXAMPLES = 1024
"""Blocks or examples of the mixture on which the factors are fitted, unless the run reads fewer."""


Strategy = Literal["identity", "diagonal", "kfac", "ekfac"]
"""Kronfluence's names of its approximations."""


class KroneckerInfluence(Scoring):
    """``G_k . F^-1 . G'`` over the linear layers, with kronfluence's approximation of the Fisher matrix F.

    kronfluence fits F once, on the mixture of corpora with labels drawn from the model, and multiplies by its inverse;
    the gradients are summed over each dataset here, which is exact, and one pass a dataset where kronfluence's own
    aggregated scores take a pass over every corpus for each test set. The output layer is left out (its factor is as
    large as the vocabulary squared), and so are embeddings and norms, as usual. GPT-2's ``Conv1D`` layers are turned
    into ``nn.Linear``.

    Damping is kronfluence's heuristic, a tenth of the mean eigenvalue of each layer.

    Attributes:
        strategy: kronfluence's name of the approximation.
    """

    strategy: ClassVar[Strategy]
    package: ClassVar[str | None] = "kronfluence"
    extra: ClassVar[str | None] = "influence"
    random: ClassVar[bool] = True
    gradient_passes: ClassVar[float] = 2.5
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "all"
    other_copies: ClassVar[float] = 2.0
    needs_float32: ClassVar[bool] = True

    @override
    def problems(self, training: Path | None = None) -> list[str]:
        return [
            f"{problem}; it brings torchvision, which has to come from the same index as torch"
            for problem in super().problems(training)
        ]

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        module = on_one_device(run, self.method)
        names = linear_layers(module)
        reader = EveryDataset(run.data, module, run.max_examples)
        layers = {name: module.get_submodule(name) for name in names}
        for layer in layers.values():
            layer.requires_grad_(True)  # kronfluence takes a layer's weight and bias as one matrix
        parameters = [p for layer in layers.values() for p in layer.parameters(recurse=False)]
        gradients = dataset_gradients(run, module, reader, parameters)
        mixture = reader.mixture(min(run.max_examples or NUM_FACTOR_EXAMPLES, NUM_FACTOR_EXAMPLES), run.seed)
        batch_size = run.data.eval_batch_size
        factors = fit_factors(
            module, names, mixture, reader.collator, strategy=self.strategy, batch_size=batch_size, seed=run.seed
        )
        scores = torch.zeros(len(run.data.corpus_names), len(run.data.test_set_names), dtype=torch.float64)
        start = 0
        for name, layer in layers.items():
            part, start = _layer_gradients(gradients, layer, start)
            left, right = part.split(list(scores.shape))
            scores += (left.flatten(1) @ precondition(factors, self.strategy, name, right).flatten(1).T).double().cpu()
        return scores.numpy()


def fit_factors(
    module: LanguageModule,
    names: list[str],
    examples: Any,
    collator: Any,
    *,
    strategy: Strategy,
    batch_size: int,
    seed: int,
) -> Any:
    """Kronfluence's factors of the Fisher matrix of whole blocks or examples, with labels drawn from the model.

    Args:
        module: whose layers are wrapped for good, and whose weights no longer ask for gradients: give a copy.
        names: of its linear layers, see :func:`linear_layers`.
        examples: a dataset.
        collator: makes batches of them.
        strategy: kronfluence's name of the approximation.
        batch_size: examples of a batch.
        seed: of the labels.

    Returns:
        The factors, by their names and those of the layers.
    """
    from kronfluence import Analyzer, FactorArguments, prepare_model
    from kronfluence.utils.dataset import DataLoaderKwargs

    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(), warnings.catch_warnings():
        # kronfluence 1.0 makes the scaler of mixed precision, which is off, by its old name (2026-11).
        warnings.filterwarnings("ignore", ".*torch.cuda.amp.GradScaler", FutureWarning)
        torch.manual_seed(seed)
        task = make_task(module, names)
        analyzer = Analyzer(
            strategy,
            prepare_model(module, task),
            task,
            cpu=module.device.type == "cpu",
            log_level=logging.ERROR,
            disable_tqdm=True,
            output_dir=folder,
        )
        analyzer.fit_all_factors(
            "mixture",
            examples,
            per_device_batch_size=min(batch_size, len(examples)),
            dataloader_kwargs=DataLoaderKwargs(collate_fn=collator),
            factor_args=FactorArguments(strategy=strategy),
        )
        return analyzer.load_all_factors("mixture")


def precondition(factors: Any, strategy: Strategy, name: str, gradient: Tensor, damping: float | None = None) -> Tensor:
    """``(F + damping)^-1`` times gradients of a layer.

    Args:
        factors: of :func:`fit_factors`.
        strategy: with which they were fitted.
        name: of the layer.
        gradient: ``[gradients, out, in (+ 1 for the bias)]``.
        damping: added to the eigenvalues; by default a tenth of their mean.

    Returns:
        Alike.
    """
    from kronfluence import ScoreArguments
    from kronfluence.factor.config import FactorConfig

    config = FactorConfig.CONFIGS[strategy]
    arguments = ScoreArguments(damping_factor=damping, precondition_dtype=gradient.dtype)
    storage = {factor: by_layer[name].clone() for factor, by_layer in factors.items()}
    config.prepare(storage, arguments, gradient.device)
    return config.precondition_gradient(gradient, storage)


def linear_layers(module: LanguageModule) -> list[str]:
    """Names of the trainable linear layers but the output layer, after ``Conv1D`` layers are made linear.

    Raises:
        ConfigurationError: if there are none.
    """
    from transformers.pytorch_utils import Conv1D

    assert module.model is not None
    for path, parent in list(module.named_modules()):
        for child, layer in list(parent.named_children()):
            if isinstance(layer, Conv1D):
                setattr(module.get_submodule(path), child, _as_linear(layer))
    output = module.model.get_output_embeddings()
    names = [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and layer is not output and layer.weight.requires_grad
    ]
    if not names:
        raise ConfigurationError(
            ["model: has no trainable linear layer, to which K-FAC and EK-FAC apply; check `trainable` and `lora`"]
        )
    return names


def _as_linear(layer: Any) -> nn.Linear:
    """The same map as an ``nn.Linear`` on the same memory, transposed."""
    linear = nn.Linear(layer.nx, layer.nf, device="meta")
    linear.weight = nn.Parameter(layer.weight.detach().T, requires_grad=layer.weight.requires_grad)
    linear.bias = layer.bias
    return linear.train(layer.training)


def _layer_gradients(gradients: Tensor, layer: Any, start: int) -> tuple[Tensor, int]:
    """A layer's gradients as kronfluence has them, ``[datasets, out, in (+ 1 for the bias)]``, and where they end."""
    shape = layer.weight.shape
    stop = start + shape.numel()
    part = gradients[:, start:stop].unflatten(1, shape)
    if layer.bias is None:
        return part, stop
    return torch.cat([part, gradients[:, stop : stop + shape[0], None]], dim=2), stop + shape[0]


def make_task(module: LanguageModule, names: list[str]) -> Any:
    """Kronfluence's description of the loss: summed over target tokens, so that none counts more than another.

    Args:
        module: whose ``forward`` gives logits and targets.
        names: of the layers.
    """
    from kronfluence.task import Task

    class TokenLosses(Task):
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
            logits, targets = model(batch)
            logits, targets = logits.flatten(0, 1).float(), targets.flatten()
            if sample:
                with torch.no_grad():
                    drawn = torch.multinomial(logits.softmax(dim=-1), 1).flatten()
                    targets = torch.where(targets == IGNORE_INDEX, targets, drawn)
            return F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

        def get_attention_mask(self, batch: Any) -> Tensor | None:
            return None if module.is_seq2seq else batch.get("attention_mask")

    return TokenLosses()
