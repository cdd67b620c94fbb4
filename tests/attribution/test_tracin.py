"""What needs more of training than its last weights: TracIn and Adam's second moments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning_untrac.callbacks.keep_models import kept_models

from lightning_untrac import Unlearning
from lightning_untrac.cli import main
from lightning_untrac.tables import InfluenceStore

MODEL = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: Any, text_files: Any, cache_folder: str) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("configs")
    data = {
        "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships", "bread")],
        "test_sets": [{"name": name, "path": str(text_files[name])} for name in ("ask-birds", "ask-ships")],
        "cache_folder": cache_folder,
    }
    trainer = {"accelerator": "cpu", "enable_progress_bar": False}
    train = {
        "config": MODEL,
        "tokenizer": "byte",
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
        "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.ExponentialLR", "init_args": {"gamma": 0.5}},
    }
    written = {"train": {"model": train, "data": {**data, "batch_size": 4}}, "trace": {"data": data}}
    for name, content in written.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**content, "trainer": trainer}))
    return {name: str(folder / f"{name}.yaml") for name in written}


def pretrain(configs: Any, folder: Path, *options: Any) -> int:
    words = ["pretrain", "--config", configs["train"], "--output", folder, "--steps", 4, *options]
    return main([str(word) for word in words])


def trace(configs: Any, folder: Path, method: str, *options: Any) -> dict[tuple[str, str], float]:
    words = ["trace", "--config", configs["trace"], "--output", folder, "--method", method, *options]
    assert main([str(word) for word in words]) == 0
    return {(r.corpus, r.test_set): r.influence for r in InfluenceStore(folder).rows() if r.method == method}


@pytest.fixture(scope="module")
def trained(configs: Any, tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert pretrain(configs, folder, "--keep_models_at", "[0,2,4]") == 0
    return folder


def test_tracin_sums_products_over_kept_models(configs: Any, trained: Path, tmp_path: Path) -> None:
    kept = kept_models(trained / "models")
    assert [one.step for one in kept] == [0, 2, 4]
    assert [one.learning_rate for one in kept] == pytest.approx([3e-3, 0.75e-3, 3e-3 / 16])
    weights = [(folder / "model.safetensors").read_bytes() for folder in (kept[0].folder, kept[2].folder)]
    ends = [(trained / name / "model.safetensors").read_bytes() for name in ("initial_model", "model")]
    assert weights == ends
    found = trace(configs, trained, "tracin")
    parts = [trace(configs, tmp_path / str(one.step), "graddot", "--model.name_or_path", one.folder) for one in kept]
    for key, value in found.items():
        expected = sum(one.learning_rate * part[key] for one, part in zip(kept, parts, strict=True))
        assert value == pytest.approx(expected, rel=1e-4)


def test_one_kept_model(configs: Any, tmp_path: Path) -> None:
    assert pretrain(configs, tmp_path / "run", "--keep_models_at", "[4]") == 0
    found, graddot = (trace(configs, tmp_path / "run", method) for method in ("tracin", "graddot"))
    (kept,) = kept_models(tmp_path / "run" / "models")
    assert found == pytest.approx({key: kept.learning_rate * value for key, value in graddot.items()}, rel=1e-4)
    # Other settings throw the kept models away with the rest.
    assert pretrain(configs, tmp_path / "run", "--overwrite", "true") == 0
    assert not (tmp_path / "run" / "models").exists()
    claim = json.loads((tmp_path / "run" / ".untrac" / "pretrain.claim.json").read_text())
    assert not any(key.startswith("keep_models_at") for key in claim)


def test_what_is_missing_is_named(configs: Any, trained: Path, tmp_path: Path, model_folders: Any, capsys: Any) -> None:
    words = ["trace", "--config", configs["trace"], "--model.name_or_path", model_folders("gpt2"), "--output"]
    wrong = ["--data.corpora", "[]"]
    for method, said in (("tracin", "--keep_models_at"), ("adam_graddot", "there is no checkpoint of training")):
        assert main([*words, str(tmp_path / method), "--method", method, *wrong]) == 2
        found = " ".join(capsys.readouterr().err.split())
        assert said in found
        assert "corpora: " in found  # with everything else that is wrong
        assert not list((tmp_path / method).glob("**/*claim*")), "nothing may be claimed by what can't run"
    assert pretrain(configs, tmp_path / "run", "--keep_models_at", "[-1,2,9]") == 2
    assert "[-1, 9] are no steps of this training; give steps from 0 to 4" in capsys.readouterr().err


def test_adams_second_moments(configs: Any, trained: Path) -> None:
    found = trace(configs, trained, "adam_graddot")
    module = Unlearning(str(trained / "model"))
    module.configure_model()
    (path,) = (trained / "checkpoints" / "pretrain").glob("step=4.ckpt")
    state = torch.load(path, weights_only=True)["optimizer_states"][0]["state"]
    parameters = list(module.model.parameters())
    assert len(state) == len(parameters)
    second = torch.cat([state[index]["exp_avg_sq"].flatten() for index in range(len(parameters))]).double()
    metric = 1 / ((second / (1 - 0.999**4)).sqrt() + 1e-8)

    def gradient(name: str, texts: Any) -> torch.Tensor:
        total, tokens = torch.zeros_like(metric), 0
        for text in texts:
            ids = torch.tensor(text)[None]
            loss = torch.nn.functional.cross_entropy(module.model(input_ids=ids).logits[0, :-1], ids[0, 1:])
            parts = torch.autograd.grad(loss * (ids.shape[1] - 1), parameters)
            total += torch.cat([part.flatten() for part in parts]).double()
            tokens += ids.shape[1] - 1
        return total / tokens

    from lightning_untrac import CorpusDataModule, DatasetConfig

    content = yaml.safe_load(Path(configs["trace"]).read_text())["data"]
    data = CorpusDataModule(
        [DatasetConfig(**one) for one in content["corpora"]],
        [DatasetConfig(**one) for one in content["test_sets"]],
        cache_folder=content["cache_folder"],
    )
    data.prepare(module)
    module.model.eval()
    everything = {**data.tokenized_corpora, **data.tokenized_test_sets}
    gradients = {
        name: gradient(name, [d[i]["input_ids"].tolist() for i in range(len(d))]) for name, d in everything.items()
    }
    for (corpus, test_set), value in found.items():
        expected = float(gradients[corpus] @ (metric * gradients[test_set]))
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-5 * abs(max(found.values())))
