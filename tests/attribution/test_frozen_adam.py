"""Unlearning in the metric of the training run's Adam: steps by hand, episodes, and the limit that is adam_graddot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_untrac import Unlearning
from lightning_untrac.attribution.preconditioned import FrozenAdam, SecondMoments
from lightning_untrac.cli import main
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore

MODEL = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
BETA, STEPS, EPS = 0.99, 3, 1e-6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any, text_files: Any, cache_folder: str) -> tuple[Path, list[Any]]:
    """The folder of a training with AdamW, and words that trace its model in float64."""
    folder = tmp_path_factory.mktemp("frozen")
    data = {
        "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships", "bread")],
        "test_sets": [{"name": name, "path": str(text_files[name])} for name in ("ask-birds", "ask-ships")],
        "cache_folder": cache_folder,
        "batch_size": 4,
    }
    trainer = {"accelerator": "cpu", "enable_progress_bar": False}
    adam = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3, "betas": [0.9, BETA], "eps": EPS}}
    train = {"config": MODEL, "tokenizer": "byte", "optimizer": adam}
    (folder / "train.yaml").write_text(yaml.safe_dump({"model": train, "data": data, "trainer": trainer}))
    (folder / "trace.yaml").write_text(yaml.safe_dump({"data": data, "trainer": trainer}))
    words = ["--config", folder / "train.yaml", "--output", folder / "run", "--steps", STEPS]
    assert main(["pretrain", *map(str, words)]) == 0
    words = [
        "trace",
        "--method",
        "untrac",
        "--config",
        folder / "trace.yaml",
        "--output",
        folder / "run",
        "--model.dtype",
        "float64",
    ]
    return folder / "run", words


def frozen_adam(folder: Path, lr: float) -> list[Any]:
    name = "lightning_untrac.attribution.preconditioned.FrozenAdam"
    return ["--model.optimizer", name, "--model.optimizer.lr", lr, "--model.optimizer.checkpoint", folder]


def trace(folder: Path, method: str, words: list[Any]) -> dict[tuple[str, str], float]:
    assert main([str(word) for word in [*words, "--method", method]]) == 0
    rows = [row for row in InfluenceStore(folder).rows() if row.method == method and row.final]
    return {(row.corpus, row.test_set): row.influence for row in rows}


def loaded(folder: Path, **options: Any) -> Unlearning:
    module = Unlearning(str(folder / "model"), **options)
    module.configure_model()
    return module


def test_a_step_by_hand(trained: Any) -> None:
    folder, _ = trained
    module = loaded(folder)
    assert module.model is not None
    parameters = list(module.model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = FrozenAdam(parameters, lr=0.1, checkpoint=str(folder))
    (path,) = (folder / "checkpoints" / "pretrain").glob(f"step={STEPS}.ckpt")
    state = torch.load(path, weights_only=True)["optimizer_states"][0]["state"]
    generator = torch.Generator().manual_seed(0)
    for number in (1, 2):  # the second has the same metric and no momentum
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        for index, parameter in enumerate(parameters):
            metric = (state[index]["exp_avg_sq"] / (1 - BETA**STEPS)).sqrt() + EPS
            before[index] -= 0.1 * parameter.grad / metric
            torch.testing.assert_close(parameter.detach(), before[index], msg=f"step {number}, parameter {index}")
        optimizer.load_state_dict({"state": {}, "param_groups": optimizer.state_dict()["param_groups"]})
    assert not optimizer.state, "nothing that a reset of the state could lose"


def test_episodes_start_from_the_same_metric(trained: Any, make_data: Any, request: Any) -> None:
    folder, _ = trained
    run = request.getfixturevalue("trace")

    def traced(*corpora: str) -> dict[tuple[str, str], float]:
        module = Unlearning(
            str(folder / "model"), optimizer=lambda p: FrozenAdam(p, lr=1e-3, checkpoint=str(folder)), dropout=False
        )
        return run(data=make_data(corpora, batch_size=4), module=module, steps=3)[0]

    several = traced("birds", "ships", "again=birds")
    for test_set in ("ask-birds", "ask-ships"):
        assert several["birds", test_set] == several["again", test_set]
        assert several["ships", test_set] == traced("ships")["ships", test_set]
    assert len(set(several.values())) == 4


def test_a_small_step_is_adam_graddot(trained: Any) -> None:
    folder, words = trained
    products = trace(folder, "adam_graddot", words)
    lr = 1e-8
    for method in ("untrac", "untrac_inv"):
        one_step = [*words, "--steps", 1, "--readings", 1, "--data.batch_size", 1000, *frozen_adam(folder, lr)]
        found = trace(folder, method, one_step)
        for key, influence in found.items():
            assert influence / lr == pytest.approx(products[key], rel=1e-3), (method, key)


def test_what_is_wrong_is_said_before_the_first_step(trained: Any, tmp_path: Path, capsys: Any) -> None:
    folder, words = trained
    command = [*words, "--method", "untrac", "--overwrite", "true", *frozen_adam(tmp_path / "none", 0.1)]
    assert main([str(word) for word in command]) == 2
    assert "model.optimizer: there is no checkpoint of training in" in " ".join(capsys.readouterr().err.split())

    command = [*words, "--method", "untrac", "--output", tmp_path / "part", "--model.name_or_path", folder / "model"]
    command += ["--model.trainable", "[mlp]", *frozen_adam(folder, 0.1)]
    assert main([str(word) for word in command]) == 2
    assert "has second moments of 16 parameters where 4 are asked for" in " ".join(capsys.readouterr().err.split())


def test_other_shapes_and_other_optimizers(trained: Any, tmp_path: Path) -> None:
    folder, _ = trained
    moments = SecondMoments(folder)
    others = {f"p{index}": torch.zeros(3, 5) for index in range(len(moments))}
    with pytest.raises(ValueError, match=r"has second moments of the shape \(\d+, 16\) for p0, which is \(3, 5\)"):
        moments.denominators(others)
    parameter = torch.nn.Parameter(torch.ones(2))
    for optimizer, said in (
        (torch.optim.SGD([parameter], lr=0.1), "no second moments"),
        (torch.optim.Adam([parameter, torch.nn.Parameter(torch.ones(2))]), None),
    ):
        parameter.grad = torch.ones(2)
        optimizer.step()
        torch.save({"optimizer_states": [optimizer.state_dict()]}, tmp_path / "one.ckpt")
        if said is not None:
            with pytest.raises(ValueError, match=said):
                SecondMoments(tmp_path / "one.ckpt")
    both = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    frozen = FrozenAdam(both, lr=0.1, checkpoint=str(tmp_path / "one.ckpt"))
    both[1].grad = torch.ones(2)
    with pytest.raises(ConfigurationError, match="has a gradient and had none then"):
        frozen.step()
