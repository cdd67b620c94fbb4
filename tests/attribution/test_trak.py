"""TRAK against the closed form on whole gradients of single examples, and what must hold of any projection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_untrac import EpisodePlan, Evaluation
from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.methods.trak import TRAK, Projection, log_odds, trak_scores
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore


class Unprojected(TRAK):
    """Of as many dimensions as parameters."""

    examples_per_dimension = 0.01


@pytest.fixture
def scoring_run(make_data: Callable[..., Any], model_folders: Callable[..., str], tmp_path: Path) -> Callable[..., Any]:
    def make(seed: int = 0, devices: int = 1, max_examples: int | None = None, **options: Any) -> ScoringRun:
        # The norms of a tiny GPT-2: fewer parameters than examples, as the closed form wants it.
        def module() -> Evaluation:
            return Evaluation(model_folders("gpt2", "float64"), dtype="float64", trainable=options_of_model)

        options_of_model = options.pop("trainable", ["ln_f"])
        data = make_data(plan=EpisodePlan("each_corpus"), **options)
        data.prepare(module())
        return ScoringRun(
            tmp_path,
            module,
            lambda **arguments: L.Trainer(
                accelerator="cpu",
                devices=devices,
                enable_progress_bar=False,
                enable_model_summary=False,
                **arguments,
            ),
            data,
            seed=seed,
            max_examples=max_examples,
        )

    return make


def plain_features(run: ScoringRun) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Each dataset's gradients of the log odds, doubts and numbers of targets, example by example."""
    module = run.build_module()
    module.configure_model()
    assert module.model is not None
    module.model.eval()
    parameters = [p for p in module.model.parameters() if p.requires_grad]
    found = {}
    for name in [*run.data.corpus_names, *run.data.test_set_names]:
        rows, doubts, counts = [], [], []
        dataset = run.data.training_examples(name)
        for index in range(len(dataset)):
            ids = torch.tensor(dataset[index]["input_ids"].tolist())[None]
            chances = module.model(ids).logits[0, :-1].softmax(-1)
            p = chances[torch.arange(len(chances)), ids[0, 1:]]
            gradient = torch.autograd.grad((p / (1 - p)).log().sum(), parameters)
            rows.append(torch.cat([part.flatten() for part in gradient]))
            doubts.append((1 - p).mean().detach())
            counts.append(len(p))
        found[name] = torch.stack(rows), torch.stack(doubts), torch.tensor(counts)
    return found


def closed_form(run: ScoringRun) -> np.ndarray:
    """Mean over the corpus of ``phi' (Phi^T Phi)^-1 phi_i (1 - p_i)``, a score for each pair first."""
    found = plain_features(run)
    phi = torch.cat([found[name][0] for name in run.data.corpus_names])
    doubt = torch.cat([found[name][1] for name in run.data.corpus_names])
    owner = np.repeat(run.data.corpus_names, [len(found[name][0]) for name in run.data.corpus_names])
    columns = []
    for test_set in run.data.test_set_names:
        queries, _, counts = found[test_set]
        pairs = (queries @ torch.linalg.solve(phi.T @ phi, phi.T)) * doubt  # [test examples, training examples]
        tau = pairs.sum(0).numpy() / float(counts.sum())
        columns.append([tau[owner == name].mean() for name in run.data.corpus_names])
    return np.array(columns).T


def test_whole_gradients_give_the_closed_form(scoring_run: Any) -> None:
    # Blocks of 6 bytes: some 130 examples for 32 parameters.
    run = scoring_run(block_size=6)
    expected = closed_form(run)
    assert Unprojected().scores(run) == pytest.approx(expected, rel=1e-6)
    assert np.abs(expected).min() > 0


def test_a_projection_comes_near_it_in_the_mean(scoring_run: Any) -> None:
    # Inner products of projected vectors are right in the mean over seeds, and the closer the more dimensions.
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 5000, generator=generator, dtype=torch.float64) + 0.3
    exact, errors = float(left @ right), {}
    for dimensions in (50, 800):
        projections = [Projection([3000, 2000], dimensions, seed, torch.device("cpu")) for seed in range(40)]
        found = torch.stack([one(left) @ one(right) for one in projections])
        assert float(found.mean()) == pytest.approx(exact, rel=4 * float(left.norm() * right.norm()) / exact / 40)
        errors[dimensions] = float((found - exact).square().mean().sqrt())
    assert errors[800] < 0.4 * errors[50]  # as 1 / sqrt(dimensions): a quarter


def test_the_order_of_corpora_and_the_seed(scoring_run: Any) -> None:
    options: dict[str, Any] = {"block_size": 6, "trainable": ["mlp"]}
    first = TRAK().scores(scoring_run(**options))
    turned = TRAK().scores(scoring_run(corpora=("bread", "birds", "ships"), **options))
    assert turned == pytest.approx(first[[2, 0, 1]], rel=1e-6)
    other = TRAK().scores(scoring_run(seed=1, **options))
    assert not np.allclose(first, other, rtol=1e-3)
    assert TRAK.random


def test_a_corpus_that_is_the_test_set_helps_most(scoring_run: Any) -> None:
    corpora, test_sets = ("birds", "ships", "bread"), ("a=birds", "b=ships", "c=bread")
    for run in (
        scoring_run(corpora=corpora, test_sets=test_sets, block_size=6, trainable=["mlp"]),
        scoring_run(corpora=corpora, test_sets=test_sets, trainable=["mlp", "norm"]),
    ):
        scores = TRAK().scores(run)
        assert (np.diag(scores) > 0).all()
        assert (scores.argmax(axis=0) == np.arange(3)).all()


def test_scores_of_sums_are_sums_of_scores() -> None:
    generator = torch.Generator().manual_seed(1)
    phi = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    # Fewer examples than dimensions: the smallest least squares solution, which fits every example exactly.
    assert trak_scores(phi.T @ phi, phi, phi).numpy() == pytest.approx(np.eye(3), abs=1e-9)


def test_certain_tokens_have_finite_log_odds() -> None:
    logits = torch.tensor([[[200.0, 0.0, 0.0], [0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]], requires_grad=True)
    output, doubt = log_odds(logits, torch.tensor([[0, 2, -100]]))
    odds = np.exp(2) / (1 + np.exp(1))
    assert output.item() == pytest.approx(200 - np.log(2) + np.log(odds), rel=1e-6)
    assert doubt.item() == pytest.approx((1 / (1 + odds)) / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(output, logits)
    assert gradient.isfinite().all()
    assert gradient[0, 2].abs().max() == 0


def test_few_examples_and_what_is_refused(scoring_run: Any) -> None:
    assert np.isfinite(TRAK().scores(scoring_run(max_examples=1, trainable=["mlp"]))).all()
    with pytest.raises(ConfigurationError, match="trak works on one device, and there are 2 ranks"):
        TRAK().scores(scoring_run(devices=2))


def test_through_the_command_line(
    model_folders: Any, text_files: Any, cache_folder: str, tmp_path: Path, scoring_run: Any
) -> None:
    import yaml

    from lightning_untrac.cli import main

    content = {
        "model": {"name_or_path": model_folders("gpt2", "float64"), "dtype": "float64", "trainable": ["mlp"]},
        "data": {
            "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships", "bread")],
            "test_sets": [{"name": name, "path": str(text_files[name])} for name in ("ask-birds", "ask-ships")],
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    words = ["trace", "--config", tmp_path / "c.yaml", "--output", tmp_path / "out", "--method", "trak"]
    assert main([str(word) for word in [*words, "--seeds", "[0,1]"]]) == 0
    rows = InfluenceStore(tmp_path / "out").rows()
    assert {row.unit for row in rows} == {"TRAK score"}
    for seed in (0, 1):
        found = {(row.corpus, row.test_set): row.influence for row in rows if row.seed == seed}
        run = scoring_run(seed=seed, trainable=["mlp"])
        expected = METHODS["trak"]().scores(run).flatten()
        keys = [(corpus, test_set) for corpus in run.data.corpus_names for test_set in run.data.test_set_names]
        assert [found[key] for key in keys] == pytest.approx(expected.tolist(), rel=1e-9)
