"""Membership scores from a model to the table, against transformers read one text at a time."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements

NAMES = ("zlib", "min_k", "min_k_plus_plus", "reference_loss")


def measured(data: Any, folder: str, out: Path, measures: Any, reference: str | None = None) -> dict[str, np.ndarray]:
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(out, list(measures))], **options)
    module = Evaluation(folder)
    module.reference_path = reference
    trainer.validate(module, datamodule=data, verbose=False)
    rows = read_measurements(out).to_pandas().sort_values("example")
    return {measure: group["value"].to_numpy() for measure, group in rows.groupby("measure")}


def test_each_score_is_that_of_its_text_read_alone_whatever_the_batch(
    make_data: Any, model_folders: Any, text_files: Any, tmp_path: Path
) -> None:
    folder, reference = model_folders("llama"), model_folders("gpt2")
    given = {"class_path": "reference_loss", "init_args": {"model": reference}}
    found = measured(make_data(("birds",), (), eval_batch_size=5), folder, tmp_path / "a", [*NAMES[:3], given])
    again = measured(make_data(("birds",), (), eval_batch_size=12), folder, tmp_path / "b", NAMES, reference=reference)
    for name in NAMES:
        np.testing.assert_allclose(again[name], found[name], atol=1e-5, err_msg=name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, other = (AutoModelForCausalLM.from_pretrained(one).eval() for one in (folder, reference))
    for place, line in enumerate(text_files["birds"].read_text().splitlines()):
        text = json.loads(line)["text"]
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
        with torch.no_grad():
            logits, under = model(ids).logits[0, :-1].double(), other(ids).logits[0, :-1].double()
        log_probs, targets = logits.log_softmax(-1), ids[0, 1:]
        own = log_probs.gather(1, targets[:, None])[:, 0]
        size = max(1, int(0.2 * len(own)))
        assert found["min_k"][place] == pytest.approx(-own.sort().values[:size].mean().item(), rel=1e-4)
        mean = (log_probs.exp() * log_probs).sum(-1)
        deviation = ((log_probs.exp() * log_probs**2).sum(-1) - mean**2).sqrt()
        z = ((own - mean) / deviation).sort().values[:size].mean().item()
        assert found["min_k_plus_plus"][place] == pytest.approx(-z, rel=1e-3)
        assert found["zlib"][place] == pytest.approx(-own.mean().item() / len(zlib.compress(text.encode())), rel=1e-4)
        gap = torch.nn.functional.cross_entropy(logits, targets) - torch.nn.functional.cross_entropy(under, targets)
        assert found["reference_loss"][place] == pytest.approx(gap.item(), abs=1e-5)


def test_of_pairs_the_target_alone_counts_also_of_an_encoder_decoder(
    pair_files: Any, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    config = DatasetConfig(str(pair_files["birds"]), "birds", prompt="prompt", target="target")
    targets = [json.loads(line)["target"] for line in pair_files["birds"].read_text().splitlines()]
    sizes = [len(zlib.compress(text.encode())) for text in targets]
    for architecture in ("gpt2", "t5"):
        data = CorpusDataModule([config], [], cache_folder=cache_folder)
        folder = model_folders(architecture)
        found = measured(data, folder, tmp_path / architecture, ["loss", *NAMES], reference=folder)
        assert all(np.isfinite(one).all() for one in found.values())
        np.testing.assert_array_equal(found["reference_loss"], 0)
        within = np.abs(found["loss"] / found["zlib"] - sizes)
        assert within.max() < 2  # a separator may be a part of the target


@pytest.mark.parametrize("name", NAMES[:3])
def test_padding_on_either_side_and_the_batch_change_nothing(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 9, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 9, (3, 6), generator=generator)
    targets[1, :2] = -100
    (measure,) = find_measures(name)
    texts = ["heron wren", "gull", "plover nest reed"]
    plain = measure(Outputs(logits, targets, texts=texts))
    more, none = torch.randn(3, 4, 9, generator=generator, dtype=torch.float64), torch.full((3, 4), -100)
    for sides in ((0, 1), (1, 0)):
        padded = Outputs(
            torch.cat([(logits, more)[side] for side in sides], 1),
            torch.cat([(targets, none)[side] for side in sides], 1), texts=texts,
        )  # fmt: skip
        for one, other in zip(measure(padded), plain, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
    for row in range(3):
        alone = measure(Outputs(logits[row : row + 1], targets[row : row + 1], texts=texts[row : row + 1]))
        assert alone.value.item() == pytest.approx(plain.value[row].item(), rel=1e-12)
    nothing = measure(Outputs(logits, torch.full_like(targets, -100), texts=[""] * 3))
    assert (nothing.value.isnan().all(), nothing.weight.tolist()) == (True, [0, 0, 0])


def test_another_share_is_another_measure() -> None:
    names = [{"class_path": name, "init_args": {"share": 0.4}} for name in ("min_k", "min_k_plus_plus")]
    found = find_measures([*names, "min_k"])
    assert [one.name for one in found] == ["min_k_share_0_4", "min_k_plus_plus_share_0_4", "min_k"]
    assert "0.4" in measure_text("min_k_share_0_4").title
    for share in (0, 1.5, -1, "a", True):
        with pytest.raises(ConfigurationError, match="above 0 and at most 1"):
            find_measures([{"class_path": "min_k", "init_args": {"share": share}}])


@pytest.mark.parametrize("name", NAMES)
def test_they_say_what_they_are(name: str) -> None:
    text = measure_text(find_measures(name)[0].name)
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == 1


def test_what_can_not_be_a_reference_is_refused(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    config = json.loads((Path(model_folders("gpt2")) / "config.json").read_text())
    small = tmp_path / "small"
    AutoModelForCausalLM.from_config(
        AutoModelForCausalLM.from_pretrained(model_folders("gpt2")).config.__class__(
            **{**config, "vocab_size": config["vocab_size"] - 7}
        )
    ).save_pretrained(small)
    for path, part in (
        (str(small), "give a reference with the same tokenizer"),
        (model_folders("t5"), "is an encoder-decoder, and the model that is measured is a decoder"),
        (str(tmp_path / "none"), "none"),
    ):
        given = [{"class_path": "reference_loss", "init_args": {"model": path}}]
        with pytest.raises(ConfigurationError, match=part):
            measured(make_data(("birds",), ()), model_folders("llama"), tmp_path / "out", given)
    with pytest.raises(ConfigurationError, match="model is ''; give the hub name"):
        find_measures([{"class_path": "reference_loss", "init_args": {"model": ""}}])
    with pytest.raises(ConfigurationError, match=r"needs reference_log_probs.*`untrac evaluate --reference MODEL`"):
        measured(make_data(("birds",), ()), model_folders("llama"), tmp_path / "out", ["reference_loss"])
