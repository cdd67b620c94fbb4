"""Measures that place examples among unseen ones: from a model to the table, against numpy and scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from scipy.stats import skewnorm

from lightning_untrac import DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.exposure import unseen_exposure
from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements, read_summary

NAMES = ("exposure", "extrapolated_exposure", "relex_unseen")


def measured(data: Any, module: Any, folder: Path, names: Any = ("loss", *NAMES)) -> dict[tuple[str, str], np.ndarray]:
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(folder, list(names))], **options)
    trainer.validate(module, datamodule=data, verbose=False)
    rows = read_measurements(folder).to_pandas().sort_values("example")
    return {key: group["value"].to_numpy() for key, group in rows.groupby(["measure", "dataset"])}


@pytest.fixture
def with_holdouts(make_data: Any, text_files: dict[str, Path]) -> Any:
    def make(*holdouts: tuple[str, str, Any], **options: Any) -> Any:
        entries = [DatasetConfig(str(text_files[file]), name, twins_of=twins) for name, file, twins in holdouts]
        return make_data(("birds", "bread"), ("ask-birds",), holdout=entries, eval_batch_size=5, **options)

    return make


def test_examples_stand_among_their_twins_and_others_among_holdouts_that_are_nobodys(
    with_holdouts: Any, model_folders: Any, tmp_path: Path
) -> None:
    data = with_holdouts(("twins", "ships", ["birds", "ask-birds"]), ("any", "ask-ships", None))
    found = measured(data, Evaluation(model_folders("llama")), tmp_path)
    losses = {name: values for (measure, name), values in found.items() if measure == "loss"}
    for name in ("birds", "ask-birds"):
        unseen = losses["twins"]
        ranks = [1 + sum(other < loss for other in unseen) for loss in losses[name]]
        np.testing.assert_allclose(found["exposure", name], np.log2(10) - np.log2(ranks))
        np.testing.assert_allclose(found["relex_unseen", name], -losses[name] - np.log(np.exp(-unseen).mean()))
    assert ("extrapolated_exposure", "birds") not in found  # nine twins are too few for a fit
    ranks = [1 + sum(other < loss for other in losses["any"]) for loss in losses["bread"]]
    np.testing.assert_allclose(found["exposure", "bread"], np.log2(6) - np.log2(ranks))
    np.testing.assert_allclose(found["exposure", "twins"], unseen_exposure(losses["twins"]))
    summary = {(row["measure"], row["dataset"], row["statistic"]): row for row in read_summary(tmp_path).to_pylist()}
    mean = summary["exposure", "birds", "mean"]
    assert mean["value"] == pytest.approx(found["exposure", "birds"].mean())  # every sequence counts alike
    assert mean["status"] == "ok"
    assert summary["exposure", "birds", "weight"]["unit"] == "sequences"
    assert summary["extrapolated_exposure", "birds", "count"]["value"] == 0


def test_a_fit_to_enough_twins_is_scipys(with_holdouts: Any, model_folders: Any, tmp_path: Path) -> None:
    data = with_holdouts(("twins", "birds", ["bread"]))
    found = measured(data, Evaluation(model_folders("gpt2")), tmp_path)
    share = skewnorm.cdf(found["loss", "bread"], *skewnorm.fit(found["loss", "twins"]))
    np.testing.assert_allclose(found["extrapolated_exposure", "bread"], -np.log2(share), rtol=1e-9)
    assert ("exposure", "birds") not in found  # its only holdout is of another dataset


def test_parts_of_a_corpus_have_its_twins(with_holdouts: Any, model_folders: Any) -> None:
    from lightning_untrac.data.forget_set import ForgetChoice

    data = with_holdouts(
        ("twins", "ships", "birds"), ("chosen-twins", "ask-ships", "birds-chosen"), ("any", "ships", None)
    )
    data.choose(ForgetChoice("birds", ("0", "3")))
    data.prepare(Evaluation(model_folders("llama")))
    assert data.unseen_names("birds-chosen") == ["chosen-twins"]
    assert data.unseen_names("birds-rest") == ["twins"]
    assert data.unseen_names("bread") == ["any"]
    assert data.unseen_names("twins") == ["twins"]


def test_without_a_holdout_they_are_refused_before_step_0(make_data: Any, model_folders: Any) -> None:
    data = make_data(("birds",), ())
    data.plan = EpisodePlan("one")
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(None, NAMES[:2])], logger=False)
    with pytest.raises(ConfigurationError) as caught:
        trainer.validate(Evaluation(model_folders()), datamodule=data, verbose=False)
    assert len(caught.value.problems) == 2
    assert "exposure needs unseen" in caught.value.problems[0]
    assert "give text that was never trained on (data.holdout)" in caught.value.problems[0]
    assert measure_problems("exposure", {"unseen"}) == []


@pytest.mark.parametrize("name", [*NAMES, "relex_original", "neighbourhood"])
def test_they_say_what_they_are(name: str) -> None:
    text = measure_text(find_measures(name)[0].name)
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == (1 if name == "neighbourhood" else -1)
    assert ("a reading" in text.title) == name.startswith("relex")


def test_relex_against_the_model_before_is_the_fall_of_the_log_likelihood() -> None:
    logits = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 2, -100, 3], [-100] * 4, [0, -100, -100, -100]])
    seen = Outputs(logits, targets, reference_log_probs=torch.tensor([-5.0, 0.0, -1.0], dtype=torch.float64))
    value, weight = find_measures("relex_original")[0](seen)
    expected = torch.nn.functional.cross_entropy(logits[0], targets[0], ignore_index=-100, reduction="sum")
    assert value[0].item() == pytest.approx((-expected.item() + 5) / 3, rel=1e-6)
    assert weight.tolist() == [3, 0, 1]
