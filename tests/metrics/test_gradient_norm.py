"""Norms of single examples' gradients, against transformers and torch one text at a time, and a closed form."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.modules.beside import Beside
from lightning_untrac.modules.example_gradients import gradient_norms
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements

MEASURE = "gradient_norm"


def validated(module: Any, data: Any, callbacks: Any = (), **trainer: Any) -> None:
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    options |= {"inference_mode": False, **trainer}
    L.Trainer(callbacks=list(callbacks), **options).validate(module, datamodule=data, verbose=False)


def measured(data: Any, folder: str, out: Path, dtype: str = "float64", **trainer: Any) -> dict[str, np.ndarray]:
    module = Evaluation(folder, dtype=dtype)
    validated(module, data, [MeasureRecorder(out, f"loss,{MEASURE}")], **trainer)
    assert all(parameter.grad is None for parameter in module.parameters())
    rows = read_measurements(out).to_pandas().sort_values("example")
    return {measure: group["value"].to_numpy() for measure, group in rows.groupby("measure")}


def norm(loss: torch.Tensor, model: Any) -> float:
    """By ``backward`` and one long vector."""
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm().item()


def ids_of(tokenizer: Any, text: str) -> torch.Tensor:
    return torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_each_norm_is_that_of_its_text_alone_whatever_the_batch(
    architecture: str, make_data: Any, model_folders: Any, text_files: Any, tmp_path: Path
) -> None:
    folder = model_folders(architecture, "float64")
    found = measured(make_data(("birds",), (), eval_batch_size=5), folder, tmp_path / "a")
    again = measured(make_data(("birds",), (), eval_batch_size=1), folder, tmp_path / "b")
    for name, values in found.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-10)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()  # gpt2 and opt have dropout
    lines = text_files["birds"].read_text().splitlines()
    for place, line in enumerate(lines):
        ids = ids_of(tokenizer, json.loads(line)["text"])
        # Not the loss of transformers, which is taken in float32.
        expected = norm(torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:]), model)
        assert found[MEASURE][place] == pytest.approx(expected, rel=1e-9)
    assert len(lines) == len(set(found[MEASURE].tolist())) == 12


def test_an_encoder_decoder_and_the_targets_of_pairs(
    pair_files: Any, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    config = DatasetConfig(str(pair_files["birds"]), "birds", prompt="prompt", target="target")
    folder = model_folders("t5", "float64")
    data = CorpusDataModule([config], [], cache_folder=cache_folder, eval_batch_size=3)
    found = measured(data, folder, tmp_path)[MEASURE]
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float64).eval()
    for example, value in enumerate(found):
        row = data.tokenized["birds"][example]
        ids, labels = (torch.from_numpy(np.array(row[key], dtype=np.int64))[None] for key in ("input_ids", "labels"))
        assert value == pytest.approx(norm(model(input_ids=ids, labels=labels).loss, model), rel=1e-9)


class Softmax(torch.nn.Module):
    """Logits that are rows of one matrix: what stands before decides alone."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(vocabulary, vocabulary, generator=generator, dtype=torch.float64))
        self.unused = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.weight[ids]


@pytest.mark.parametrize("side", ["left", "right"])
def test_closed_form_of_a_linear_softmax_model_on_either_side_of_padding(side: str) -> None:
    """The gradient in a row of the matrix is the mean over targets of ``p - onehot`` where that token stood before."""
    model, vocabulary = Softmax(5), 5
    texts = [[1, 2, 1, 3], [4, 4], [2]]  # the last one has no target

    def outputs_of(batch: Any) -> Outputs:
        return Outputs(model(batch["input_ids"]), batch["targets"], batch)

    ids, targets = torch.zeros(3, 6, dtype=torch.long), torch.full((3, 6), -100)
    for row, text in enumerate(texts):
        begin = 6 - len(text) if side == "left" else 0
        ids[row, begin : begin + len(text)] = torch.tensor(text)
        targets[row, begin : begin + len(text) - 1] = torch.tensor(text[1:], dtype=torch.long)
    module = SimpleNamespace(
        model=model, measures=find_measures(MEASURE), outputs_of=outputs_of,
        trainable_parameters=lambda: dict(model.named_parameters()),
    )  # fmt: skip
    batch: Any = {"input_ids": ids, "targets": targets, "has_targets": True}
    with torch.no_grad():
        seen = outputs_of(batch)
        seen.gradient_norms = gradient_norms(module, batch, seen)
    value, weight = find_measures(MEASURE)[0](seen)
    expected = []
    for text in texts[:2]:
        gradient = torch.zeros(vocabulary, vocabulary, dtype=torch.float64)
        for before, after in pairwise(text):
            chances = model.weight.detach()[before].softmax(0)
            gradient[before] += (chances - torch.eye(vocabulary)[after]) / (len(text) - 1)
        expected.append(gradient.square().sum().sqrt().item())
    assert value[:2].tolist() == pytest.approx(expected, rel=1e-12)
    assert value[2].isnan()
    assert weight.tolist() == [1, 1, 0]
    assert model.weight.grad is None


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_lower_precision_is_near(precision: str, make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    """Under autocast a pass without gradients comes first, whose cast weights must not be taken again."""
    folder = model_folders("llama")
    exact = measured(make_data(("birds",), ()), folder, tmp_path / "a", "float32")[MEASURE]
    rough = measured(make_data(("birds",), ()), folder, tmp_path / "b", "float32", precision=precision)[MEASURE]
    np.testing.assert_allclose(rough, exact, rtol=0.05)
    assert (rough != exact).any()


def test_two_models_beside_each_other_and_the_parameters_that_may_move(make_data: Any, model_folders: Any) -> None:
    kept: dict[str, list[float]] = {"measured": [], "of_reference": []}

    class Keeper(L.Callback):
        def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
            for name, values in kept.items():
                values += outputs[name][MEASURE].value.tolist()

    folder, measures = model_folders("llama", "float64"), find_measures(MEASURE)
    whole, part = (Evaluation(folder, dtype="float64", trainable=names) for names in (None, ["mlp"]))
    validated(Beside(whole, part, measures, measures), make_data(("birds",), ()), [Keeper()])
    both = np.array([kept["measured"], kept["of_reference"]])
    assert both.shape == (2, 12)
    assert (both[1] > 0).all()
    assert (both[1] < both[0]).all()


def test_along_a_fit_it_changes_no_influence_and_leaves_no_gradient(trace: Any, make_data: Any, tmp_path: Path) -> None:
    plain, _, _ = trace(data=make_data(batch_size=4), steps=2)
    found, _, _ = trace(
        data=make_data(batch_size=4), steps=2, callbacks=(MeasureRecorder(tmp_path, f"loss,{MEASURE}"),)
    )
    assert found == plain
    rows = read_measurements(tmp_path).to_pandas()
    mine = (rows["measure"] == MEASURE) & (rows["dataset"] == "ask-birds") & (rows["forget_set"] == "ships")
    norms = rows[mine].pivot(index="example", columns="step", values="value")
    assert norms.shape == (5, 2)
    assert (norms[0] != norms[2]).all()


def test_where_there_are_no_gradients_that_is_said(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    module, recorder = Evaluation(model_folders("llama")), MeasureRecorder(tmp_path, MEASURE)
    with pytest.raises(ConfigurationError, match="make it with `inference_mode=False`"):
        validated(module, make_data(("birds",), ()), [recorder], inference_mode=True)
    module.model.requires_grad_(False)  # type: ignore[union-attr]
    with pytest.raises(ConfigurationError, match="no parameter of the model may move"):
        validated(module, make_data(("birds",), ()), [recorder])


def test_it_says_what_it_is() -> None:
    text = measure_text(MEASURE)
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == 1
