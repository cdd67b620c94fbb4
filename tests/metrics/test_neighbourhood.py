"""Neighbourhood scores from a model to the table, against the model asked for each neighbour by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.functional.neighbours import COUNT
from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.modules.neighbourhood import neighbour_targets, with_targets
from lightning_untrac.tables import read_measurements


def scores(data: Any, folder: str, out: Path) -> dict[int, float]:
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(out, "neighbourhood")], **options)
    trainer.validate(Evaluation(folder), datamodule=data, verbose=False)
    rows = read_measurements(out).to_pylist()
    return {row["example"]: row["value"] for row in rows}


def test_each_score_is_that_of_its_neighbours_read_alone_whatever_the_batch(
    make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    """Neighbours are drawn once more here, from the logits of one text at a time."""
    folder = model_folders("llama")
    found = scores(make_data(("birds",), (), eval_batch_size=4), folder, tmp_path / "a")
    again = scores(make_data(("birds",), (), eval_batch_size=12), folder, tmp_path / "b")
    assert found.keys() == again.keys() == set(range(12))
    np.testing.assert_allclose([again[i] for i in found], list(found.values()), atol=1e-5)
    data = make_data(("birds",), ())
    data.plan = EpisodePlan("one")
    module = Evaluation(folder)
    data.prepare(module)
    model, never = AutoModelForCausalLM.from_pretrained(folder).eval(), module.tokenizer.all_special_ids
    for example in (0, 7):
        ids = torch.from_numpy(np.array(data.tokenized["birds"][example]["input_ids"], dtype=np.int64))[None]

        def likelihood(ids: torch.Tensor) -> float:
            with torch.no_grad():
                return -model(ids, labels=ids).loss.item()

        with torch.no_grad():
            logits = model(ids).logits
        targets = torch.nn.functional.pad(ids[:, 1:], (0, 1), value=-100)
        index = {"dataset_index": torch.tensor([0]), "example_index": torch.tensor([example])}
        neighbours = []
        for neighbour in range(COUNT):
            other = neighbour_targets(Outputs(logits, targets, index), ["birds"], neighbour, never)
            moved = (other != targets).sum().item()
            assert moved == max(1, round(0.3 * (ids.shape[1] - 1)))
            neighbours.append(likelihood(torch.cat([ids[:, :1], other[:, :-1]], dim=1)))
        assert found[example] == pytest.approx(np.mean(neighbours) - likelihood(ids), abs=1e-4)


def test_prompts_stay_and_an_encoder_decoder_is_asked_for_other_answers(
    pair_files: dict[str, Path], model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    config = DatasetConfig(str(pair_files["birds"]), "birds", prompt="prompt", target="target")
    for architecture in ("gpt2", "t5"):
        data = CorpusDataModule([config], [], cache_folder=cache_folder)
        found = scores(data, model_folders(architecture), tmp_path / architecture)
        assert len(found) == 8
        assert all(np.isfinite(list(found.values())))
        module = Evaluation(model_folders(architecture))
        data.prepare(module)
        batch = next(iter(data.sample_dataloader("birds", 8)))
        if architecture == "t5":
            model = AutoModelForSeq2SeqLM.from_pretrained(model_folders("t5")).eval()
            seen = Outputs(model(input_ids=batch["input_ids"], labels=batch["labels"]).logits, batch["labels"], batch)
        else:
            model = AutoModelForCausalLM.from_pretrained(model_folders("gpt2")).eval()
            targets = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=-100)
            seen = Outputs(model(batch["input_ids"]).logits, targets, batch)
        never = AutoTokenizer.from_pretrained(model_folders(architecture)).all_special_ids
        other = with_targets(batch, neighbour_targets(seen, ["birds"], 0, never), architecture == "t5")
        supervised = batch["labels"] != -100
        assert torch.equal(other["labels"] != -100, supervised)
        changed = other["labels"] != batch["labels"]
        assert changed.any(dim=1).all()
        assert not torch.isin(batch["labels"][changed], torch.tensor(never)).any()
        if architecture == "t5":
            assert torch.equal(other["input_ids"], batch["input_ids"])
        else:
            assert torch.equal(other["input_ids"] != batch["input_ids"], changed)


def test_a_text_that_is_known_by_heart_scores_lower_than_one_that_is_not() -> None:
    seen = Outputs(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long))
    seen.neighbour_likelihoods = torch.tensor([[-9.0, -1.5], [-7.0, -1.3]], dtype=torch.float64)
    value, weight = find_measures("neighbourhood")[0](seen)
    assert value.tolist() == pytest.approx([-8 + np.log(4), -1.4 + np.log(4)])
    assert weight.tolist() == [3, 3]
