"""Influence functions: exact Hessian products, and kronfluence's factors."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_untrac import EpisodePlan, Evaluation
from lightning_untrac.attribution.curvature import mixture_hessian, trainable_parameters
from lightning_untrac.attribution.kronecker import KroneckerInfluence, linear_layers, make_task
from lightning_untrac.attribution.methods.arnoldi import Arnoldi
from lightning_untrac.attribution.methods.datainf import closed_form
from lightning_untrac.attribution.methods.ekfac import EKFAC
from lightning_untrac.attribution.methods.kfac import KFAC
from lightning_untrac.attribution.methods.lissa import LiSSA
from lightning_untrac.attribution.reading import EveryDataset, on_one_device
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.hessian import (
    flatten,
    hessian_vector_products,
    krylov_eigenpairs,
    largest_eigenvalue,
    lissa,
)


@pytest.fixture
def scoring_run(make_data: Callable[..., Any], model_folders: Callable[..., str], tmp_path: Path) -> Callable[..., Any]:
    """What a rival may use, on a tiny model and corpora."""

    def make(architecture: str = "llama", dtype: str = "float32", devices: int = 1, **options: Any) -> ScoringRun:
        data = make_data(plan=EpisodePlan("each_corpus"), **options)
        data.prepare(Evaluation(model_folders(architecture, dtype)))
        return ScoringRun(
            tmp_path,
            lambda: Evaluation(model_folders(architecture, dtype), dtype=dtype),
            lambda **arguments: L.Trainer(
                accelerator="cpu",
                devices=devices,
                enable_progress_bar=False,
                enable_model_summary=False,
                **arguments,
            ),
            data,
        )

    return make


def plain_gradients(run: ScoringRun, parameters: Callable[[Any], list[Tensor]]) -> tuple[Tensor, Tensor]:
    """Gradients of every corpus and test set, example by example."""
    module = run.build_module()
    module.configure_model()
    module.eval()
    rows = []
    for name in [*run.data.corpus_names, *run.data.test_set_names]:
        dataset, total, count = run.data.training_examples(name), 0.0, 0
        for index in range(len(dataset)):
            ids = torch.tensor(dataset[index]["input_ids"].tolist())[None]
            logits = module.model(ids).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
            count += ids.shape[1] - 1
        rows.append(flatten(torch.autograd.grad(total / count, parameters(module))))
    corpora, test_sets = torch.stack(rows).split([3, 2])
    return corpora, test_sets


def some_matrix(size: int, lowest: float, highest: float) -> Tensor:
    """A symmetric matrix with eigenvalues evenly spread."""
    generator = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return rotation @ torch.diag(torch.linspace(lowest, highest, size, dtype=torch.float64)) @ rotation.T


class TestHessian:
    def test_lissa_comes_to_the_exact_inverse(self) -> None:
        matrix, vectors = some_matrix(8, 0.5, 4.0), torch.randn(3, 8, dtype=torch.float64)
        solved = lissa(lambda v: v @ matrix, vectors, scale=4.4, damping=0.1, iterations=300)
        exact = torch.linalg.solve(matrix + 0.1 * torch.eye(8), vectors.T).T
        torch.testing.assert_close(solved, exact)

    def test_all_arnoldi_pairs_are_the_exact_ones(self) -> None:
        matrix = some_matrix(8, -2.0, 4.0)
        values, vectors = krylov_eigenpairs(lambda v: v @ matrix, torch.ones(8, dtype=torch.float64), 20)
        torch.testing.assert_close(vectors.T @ torch.diag(values) @ vectors, matrix)
        torch.testing.assert_close(values.abs(), values.abs().sort(descending=True).values)

    def test_few_arnoldi_products_find_the_far_ends(self) -> None:
        matrix = torch.diag(torch.cat([torch.linspace(0, 1, 60, dtype=torch.float64), torch.tensor([-20.0, 30.0])]))
        values, _ = krylov_eigenpairs(lambda v: v @ matrix, torch.ones(62, dtype=torch.float64), 10)
        torch.testing.assert_close(values[:2], torch.tensor([30.0, -20.0], dtype=torch.float64))

    def test_largest_eigenvalue(self) -> None:
        matrix = some_matrix(8, -5.0, 4.0)
        found = largest_eigenvalue(lambda v: v @ matrix, torch.ones(8, dtype=torch.float64), 200)
        assert found == pytest.approx(5.0)

    def test_of_a_linear_loss_is_zero(self) -> None:
        x = torch.ones(3, requires_grad=True)
        assert not hessian_vector_products(x.sum(), [x], torch.eye(3)).any()

    @pytest.mark.parametrize("architecture", ["llama", "gpt2"])
    def test_products_agree_with_finite_differences(self, scoring_run: Callable[..., Any], architecture: str) -> None:
        run = scoring_run(architecture, "float64")
        module = on_one_device(run, "arnoldi")
        reader, parameters = EveryDataset(run.data, module), trainable_parameters(module)
        mixture = reader.mixture(1000, 0)
        size = sum(p.numel() for p in parameters)
        direction = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        product = mixture_hessian(module, reader, parameters, mixture)(direction[None])[0]
        start, step, ends = flatten([p.detach() for p in parameters]), 1e-5, []
        for sign in (1, -1):
            torch.nn.utils.vector_to_parameters(start + sign * step * direction, parameters)
            (batch,) = reader.loader(mixture)
            ends.append(flatten(torch.autograd.grad(module.mean_loss(batch), parameters)))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float((product - expected).norm() / expected.norm()) < 1e-4


class TestExactProducts:
    @pytest.mark.parametrize("method", [Arnoldi(iterations=8, num_eigenvectors=8), LiSSA(iterations=400, damping=0)])
    @pytest.mark.parametrize("num_corpora", [2, 5])
    def test_come_to_the_exact_inverse(self, method: Any, num_corpora: int) -> None:
        matrix, generator = some_matrix(8, 0.5, 4.0), torch.Generator().manual_seed(2)
        left, right = torch.randn(num_corpora + 3, 8, generator=generator, dtype=torch.float64).split([num_corpora, 3])
        scores = method.inverse_products(lambda v: v @ matrix, left, right, 0)
        torch.testing.assert_close(scores, left @ torch.linalg.inv(matrix) @ right.T)

    def test_lissa_without_terms_is_graddot(self, scoring_run: Callable[..., Any]) -> None:
        run = scoring_run()
        corpora, test_sets = plain_gradients(run, trainable_parameters)
        scores, expected = LiSSA(iterations=0).scores(run), (corpora @ test_sets.T).numpy()
        np.testing.assert_allclose(scores / scores[0, 0], expected / expected[0, 0], rtol=1e-4)

    @pytest.mark.parametrize("method", [Arnoldi, LiSSA])
    def test_does_not_depend_on_the_batch_size(self, scoring_run: Callable[..., Any], method: Any) -> None:
        one, many = (method(2).scores(scoring_run(dtype="float64", eval_batch_size=size)) for size in (5, 50))
        np.testing.assert_allclose(one, many, rtol=1e-6)

    def test_refuses_several_devices(self, scoring_run: Callable[..., Any]) -> None:
        with pytest.raises(ConfigurationError, match="there are 2 ranks; use --trainer"):
            LiSSA().scores(scoring_run(devices=2))


def test_datainf_is_the_mean_of_exact_inverses() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right, each = torch.randn(9, 6, generator=generator, dtype=torch.float64).split([2, 3, 4])
    damping = 0.1 * each.square().sum(dim=1).mean() / 6
    inverses = [torch.linalg.inv(torch.outer(g, g) + damping * torch.eye(6)) for g in each]
    expected = left @ (sum(inverses) / len(inverses)) @ right.T
    products, squares = each @ torch.cat([left, right]).T, each.square().sum(dim=1)
    found = closed_form((left @ right.T)[None], products[:, None], squares[:, None], [6], 2)
    torch.testing.assert_close(found, expected)


class Identity(KroneckerInfluence):
    """No preconditioning."""

    method: ClassVar[str] = "identity"
    unit: ClassVar[str] = "G.G'"
    strategy: ClassVar[Literal["identity", "diagonal", "kfac", "ekfac"]] = "identity"


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.GradScaler:FutureWarning")  # kronfluence 1.0 (2026-11)
class TestKroneckerFactors:
    @pytest.fixture(autouse=True)
    def _needs_kronfluence(self) -> None:
        pytest.importorskip("kronfluence")

    @pytest.mark.parametrize("architecture", ["llama", "gpt2"])
    def test_identity_is_graddot_on_the_same_layers(self, scoring_run: Callable[..., Any], architecture: str) -> None:
        endings = {
            "llama": ("proj.weight",),
            "gpt2": ("c_attn.weight", "c_attn.bias", "c_proj.weight", "c_proj.bias", "c_fc.weight", "c_fc.bias"),
        }[architecture]

        def of_linear_layers(module: Any) -> list[Tensor]:
            return [p for name, p in module.model.named_parameters() if name.endswith(endings)]

        run = scoring_run(architecture)
        corpora, test_sets = plain_gradients(run, of_linear_layers)
        np.testing.assert_allclose(Identity().scores(run), (corpora @ test_sets.T).numpy(), rtol=1e-3, atol=1e-7)

    @pytest.mark.parametrize(("method", "architecture"), [(EKFAC, "llama"), (KFAC, "gpt2")])
    def test_equals_kronfluences_own_scores(
        self,
        scoring_run: Callable[..., Any],
        method: type[KroneckerInfluence],
        architecture: str,
        tmp_path: Path,
    ) -> None:
        from kronfluence import Analyzer, FactorArguments, ScoreArguments, prepare_model
        from kronfluence.utils.dataset import DataLoaderKwargs

        run = scoring_run(architecture)
        scores = method().scores(run)
        module = on_one_device(run, "reference")
        reader = EveryDataset(run.data, module)
        task = make_task(module, linear_layers(module))
        analyzer = Analyzer("a", prepare_model(module, task), task, cpu=True, disable_tqdm=True, output_dir=tmp_path)
        loading = DataLoaderKwargs(collate_fn=reader.collator)
        torch.manual_seed(0)
        analyzer.fit_all_factors(
            "f",
            reader.mixture(1000, 0),
            per_device_batch_size=31,
            dataloader_kwargs=loading,
            factor_args=FactorArguments(strategy=method.strategy),
        )
        analyzer.compute_pairwise_scores(
            "s",
            "f",
            query_dataset=reader.examples(["ask-ships"]),
            train_dataset=reader.examples(["birds"]),
            per_device_query_batch_size=5,
            per_device_train_batch_size=12,
            dataloader_kwargs=loading,
            score_args=ScoreArguments(
                damping_factor=None, aggregate_query_gradients=True, aggregate_train_gradients=True
            ),
        )
        total = float(analyzer.load_pairwise_scores("s")["all_modules"])
        tokens = [int((run.data.training_examples(name).lengths() - 1).sum()) for name in ("birds", "ask-ships")]
        assert scores[0, 1] == pytest.approx(total / tokens[0] / tokens[1], rel=2e-2)

    def test_the_seed_draws_the_labels(self, scoring_run: Callable[..., Any]) -> None:
        run = scoring_run()
        first = KFAC().scores(run)
        run.seed = 1
        again = KFAC().scores(run)
        assert not np.array_equal(first, again)
        np.testing.assert_allclose(first, again, rtol=0.5)


def test_through_the_command_line(
    text_files: dict[str, Path], cache_folder: str, model_folders: Callable[..., str], tmp_path: Path
) -> None:
    import pandas as pd
    import yaml

    from lightning_untrac.cli import main

    content = {
        "model": {"name_or_path": model_folders("gpt2")},
        "data": {
            "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships")],
            "test_sets": [{"name": "ask-birds", "path": str(text_files["ask-birds"])}],
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    methods = ["token_overlap", "lissa", "datainf", "embedding"] + ["kfac"] * bool(find_spec("kronfluence"))
    command = ["trace", "--config", tmp_path / "c.yaml", "--output", tmp_path / "out", "--method", ",".join(methods)]
    assert main([str(word) for word in command]) == 0
    table = pd.read_parquet(tmp_path / "out" / "influence.parquet")
    assert sorted(set(table["method"])) == sorted(methods)
    assert set(table["status"]) == {"ok"}
