"""TRAK: a linear model of the training run in randomly projected gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.attribution.curvature import trainable_parameters
from lightning_untrac.attribution.reading import EveryDataset, batches_on, on_one_device
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.hessian import flatten
from lightning_untrac.modules import LanguageModule

ROWS = 64
"""Examples whose features are held before they enter the kernel in one matrix product."""


class TRAK(Scoring):
    """Score of corpus Z on test set Z': the mean over z in Z of ``phi(z')^T (Phi^T Phi)^-1 phi(z) (1 - p(z))``.

    ``phi(z)`` is the gradient of the model output ``f(z)`` of one block or example, projected at random to a few
    hundred numbers, and ``Phi`` has such a row for every example of all corpora. The score is by how much ``f`` of the
    test set would fall without one average example of the corpus, were the trained model the optimum of a logistic
    regression on these features.

    The paper defines ``f = log(p / (1 - p))`` for one decision among classes. Our reading for text: every target token
    is such a decision, ``f(z)`` is the sum over the tokens of z, of a test set the mean per token, and ``1 - p(z)`` the
    mean over the tokens of z. Every example of the corpora counts once, whatever its corpus' share of the training.

    The projection adds up the gradient's elements in buckets with random signs (a sparse Johnson-Lindenstrauss
    transform with one entry a column), where the paper takes dense normal matrices: inner products are kept as well, in
    the mean square, and a gradient costs as many additions as it has elements, where a dense matrix costs as many times
    more as there are dimensions. A model with no more trainable parameters than dimensions is not projected.

    * Unit: log odds per token of the test set, an example of the corpus. Sign: positive = the corpus helps the model
      produce the test set.
    * Cost: a forward and a backward pass over every example of every dataset, one at a time. Memory: a gradient, four
      bytes a parameter for the buckets, and two float64 matrices of dimensions squared; no gradient or feature is kept.
    * Needs: the trained weights; one device. Each seed draws its own projection.
    * Source: Park et al. 2023 (sec. 3; one model where the paper averages over several); sparse projection of gradients
      after Hu et al. 2025 (GraSS). Written here: traker 0.3.2 and dattri 0.3.0 hold a hundred gradients' worth of a
      dense matrix on the CPU and draw all of it again for every batch (minutes on the quickstart), and the whole of it
      or a compiled extension on the GPU.

    Attributes:
        dimensions: of the projection, at most.
        examples_per_dimension: how many examples of the corpora there are at least for each dimension: with nearly as
            many dimensions as examples the regression fits single examples, and says little of a corpus. (On one
            model of the quickstart, 3456 examples, 128 / 512 / 2048 dimensions came to a mean Pearson of .86 / .95 /
            .86 with retraining, so neither number is tested on fresh truth.)
    """

    method: ClassVar[str] = "trak"
    title: ClassVar[str] = "TRAK"
    summary: ClassVar[str] = (
        "Fits a linear model of training to randomly projected gradients of single examples, and reads from "
        "it by how much each test set would fare worse without an average example of the corpus."
    )
    unit: ClassVar[str] = "TRAK score"
    random: ClassVar[bool] = True
    gradient_passes: ClassVar[float] = 2.0
    other_copies: ClassVar[float] = 3.0
    dimensions: ClassVar[int] = 512
    examples_per_dimension: ClassVar[float] = 4

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class.

        Raises:
            ConfigurationError: on several devices, if no parameter is trainable, or if a dataset has no target token.
        """
        module = on_one_device(run, self.method)
        reader, parameters = EveryDataset(run.data, module, run.max_examples), trainable_parameters(module)
        num_examples = len(reader.examples(run.data.corpus_names))
        dimensions = max(1, min(self.dimensions, int(num_examples / self.examples_per_dimension)))
        projection = Projection([p.numel() for p in parameters], dimensions, run.seed, module.device)
        kernel: Tensor | float = 0.0
        corpora, test_sets = [], []
        for name in run.progress(reader.evaluation_names, "features of the datasets"):
            total: Tensor | float = 0.0
            num_examples = num_tokens = 0
            for features, doubts, tokens in example_features(module, reader, name, parameters, projection):
                if name in run.data.corpus_names:
                    kernel = kernel + features.T @ features
                    total, num_examples = total + doubts @ features, num_examples + len(features)
                else:
                    total = total + features.sum(0)
                num_tokens += tokens
            if not isinstance(total, Tensor):
                raise ConfigurationError(
                    [f"{name}: has no target token, so it has no gradient; expected at least 1 (raise max_examples)"]
                )
            if name in run.data.corpus_names:
                corpora.append(total / num_examples)
            else:
                test_sets.append(total / num_tokens)
        assert isinstance(kernel, Tensor)
        return trak_scores(kernel, torch.stack(corpora), torch.stack(test_sets)).cpu().numpy()


def example_features(
    module: LanguageModule,
    reader: EveryDataset,
    name: str,
    parameters: Sequence[torch.nn.Parameter],
    projection: Projection,
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Projected gradients of a dataset's examples, some at a time.

    Yields:
        ``phi(z)`` (``[examples, dimensions]`` float64), ``1 - p(z)`` (``[examples]`` float64) and their target tokens.
    """
    features: list[Tensor] = []
    doubts: list[Tensor] = []
    num_tokens = 0
    for batch in batches_on(module, reader.loader(reader.examples([name]), batch_size=1)):
        if not batch["has_targets"]:
            continue
        output, doubt = log_odds(*module(batch))
        gradient = flatten(torch.autograd.grad(output, parameters, materialize_grads=True))
        features.append(projection(gradient))
        doubts.append(doubt)
        num_tokens += int(module.num_targets(batch))
        if len(features) == ROWS:
            yield torch.stack(features).double(), torch.stack(doubts).double(), num_tokens
            features, doubts, num_tokens = [], [], 0
    if features:
        yield torch.stack(features).double(), torch.stack(doubts).double(), num_tokens


def log_odds(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """TRAK's model output of some text, and how far the model is from certain of it.

    Args:
        logits: ``[batch, length, vocabulary]``.
        targets: ``[batch, length]``; those of ``IGNORE_INDEX`` don't count.

    Returns:
        ``sum log(p / (1 - p))`` over the target tokens, with a gradient, and the mean of ``1 - p``, without.

    Example:
        >>> output, doubt = log_odds(torch.log(torch.tensor([[[0.25, 0.75]]])), torch.tensor([[1]]))
        >>> round(output.exp().item(), 4), round(doubt.item(), 4)
        (3.0, 0.25)
    """
    counted = targets != IGNORE_INDEX
    logits, targets = logits[counted], targets[counted][:, None]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    chosen = logits.gather(1, targets)[:, 0]
    # Not `log(1 - p)`, which is -inf as soon as p rounds to 1.
    others = logits.scatter(1, targets, -torch.inf).logsumexp(dim=1)
    margin = chosen - others
    return margin.sum(), torch.sigmoid(-margin.detach()).mean()


class Projection:
    """A random linear map of gradients that keeps inner products in the mean.

    Args:
        sizes: elements of each parameter tensor.
        dimensions: of the result; with no more parameters than that, gradients stay as they are.
        seed: of the draw, the same on every device.
        device: where the gradients are.
    """

    def __init__(self, sizes: Sequence[int], dimensions: int, seed: int, device: torch.device) -> None:
        self.dimensions = dimensions
        self._buckets: Tensor | None = None
        if sum(sizes) > dimensions:
            generator = torch.Generator().manual_seed(seed)
            # Bucket and sign in one number: the second half of the buckets counts as negative.
            drawn = [torch.randint(2 * dimensions, (n,), generator=generator, dtype=torch.int32) for n in sizes]
            self._buckets = torch.cat(drawn).to(device)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Project a gradient, ``[parameters]`` to ``[dimensions]``, float32 at least."""
        gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        if self._buckets is None:
            return gradient
        plus, minus = gradient.new_zeros(2 * self.dimensions).index_add_(0, self._buckets, gradient).chunk(2)
        return plus - minus


def trak_scores(kernel: Tensor, corpora: Tensor, test_sets: Tensor) -> Tensor:
    """TRAK's scores from sums of features alone.

    Args:
        kernel: ``Phi^T Phi``, ``[dimensions, dimensions]`` float64.
        corpora: ``[corpora, dimensions]``, each corpus' mean of ``(1 - p) phi``.
        test_sets: ``[test sets, dimensions]``, each test set's mean of ``phi``.

    Returns:
        ``[corpora, test sets]``.

    Example:
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> trak_scores(2 * eye, eye, eye).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    # Singular where there are fewer examples than dimensions, or a bucket that no gradient ever reaches.
    return corpora @ torch.linalg.pinv(kernel, rtol=1e-12, hermitian=True) @ test_sets.T
