"""The latent space of judged classifiers, from the command line to the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import wandb_offline
from commands import run_untrac
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import read_judged_examples, read_judged_measures
from lightning_untrac.tables.latent import JUDGED_LATENT

DESKS = ["garden", "harbour", "kitchen", "weather"]
COSINES = ("class_cosine", "own_class_cosine", "other_class_cosine")


def head_inputs(folder, part, count):
    """What BERT's head reads, by transformers alone, and the class of each text."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = builtin_examples(f"topics/{part}", num_examples=count)
    batch = AutoTokenizer.from_pretrained(folder)([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        states = model(**inputs, output_hidden_states=True).hidden_states[-1][:, 0]
    return states.double().numpy(), np.array([DESKS.index(row["label"]) for row in rows])


def centres(states, classes):
    found = np.stack([states[classes == one].mean(axis=0) for one in range(len(DESKS))])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_cosines_are_those_of_the_saved_models(classified):
    value = {(row["measure"], Path(row["model"]).name, row["dataset"], row["statistic"]): row
             for row in read_judged_measures(classified) if row["measure"] in COSINES}  # fmt: skip
    read = read_judged_examples(classified).to_pandas().query("measure == 'accuracy' and dataset == 'rest'")
    places = sorted(set(read.example))
    for name, folder in (("model", "model"), ("seed-0", "retrained-forget/seed-0"), ("unlearned-forget",) * 2):
        states, classes = head_inputs(classified / folder, "rest", 240)
        kept = centres(states[places], classes[places])
        gone = centres(*head_inputs(classified / folder, "forget", 48))
        both, among = gone @ kept.T, kept @ kept.T
        beside = ~np.eye(len(DESKS), dtype=bool)
        expected = {
            ("class_cosine", "(retained)"): among[beside].mean(),
            ("own_class_cosine", "forget"): np.diag(both).mean(),
            ("other_class_cosine", "forget"): np.where(beside, both, -2).max(axis=1).mean(),
        }
        for (measure, dataset), number in expected.items():
            row = value[measure, name, dataset, "mean"]
            assert row["value"] == pytest.approx(number, abs=1e-5)
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert value["own_class_cosine", "unlearned-forget", "test", "difference"]["ci_low"] is not None
    assert ("own_class_cosine", "model", "(retained)", "mean") not in value  # it would be held against itself
    assert ("class_cosine", "retrained-forget", "forget", "mean") in value


def test_points_are_kept_and_drawn_again_without_the_models(classified, tmp_path):
    pytest.importorskip("sklearn")
    frame = read_table(classified / JUDGED_LATENT).to_pandas()
    models = [Path(one).name for one in frame.model.unique()]
    assert sorted(models) == ["model", "seed-0", "unlearned-forget"]
    assert set(frame.groupby(["model", "dataset"]).size()) == {120, 48}
    assert set(frame.label) == set(DESKS)
    original = frame[frame.role == "original"]
    kept = original[original.dataset == "rest"]
    assert kept[["x", "y"]].mean().abs().max() < 1e-9  # centred
    assert np.square(kept[["x", "y"]]).sum(axis=1).mean() == pytest.approx(original.share.iloc[0])
    rows = builtin_examples("topics/forget", num_examples=48)
    gone = original[original.dataset == "forget"].sort_values("example")
    assert gone.label.tolist() == [row["label"] for row in rows]

    folder = tmp_path / "copy"
    shutil.copytree(classified, folder, ignore=shutil.ignore_patterns("*.safetensors", "plots"))
    ran = run_untrac("report", "--output", folder)
    assert ran.code == 0, ran.text
    assert (folder / "plots" / "judged_forget_latent.png").is_file()
    assert "dark edge" in (folder / "report.html").read_text()


def judge(classified, folder, *flags):
    shutil.copytree(classified, folder)
    data = classified.parent / "data.yaml"
    return run_untrac("judge", "--forget", "forget", "--config", data, "--output", folder, *flags)


def test_without_scikit_learn_there_is_no_picture_and_the_rest(classified, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_untrac.runs.latent.find_spec", lambda name: None)
    folder = tmp_path / "copy"
    before = read_judged_measures(classified)
    ran = judge(classified, folder)
    assert ran.code == 0, ran.text
    assert "no picture of the latent space: that needs the package scikit-learn" in ran.text
    assert "pip install 'lightning-untrac[latent]'" in ran.text
    assert not (folder / JUDGED_LATENT).exists()  # that of the judgement before is of other models
    one, other = (pd.DataFrame(rows).drop(columns="model") for rows in (before, read_judged_measures(folder)))
    pd.testing.assert_frame_equal(one, other)
    ran = judge(classified, tmp_path / "other", "--projection", "umap")
    assert ran.code == 2
    assert "umap needs the package umap-learn: pip install 'lightning-untrac[latent]'" in ran.text


def test_language_models_have_no_such_picture(untrac, judged_run, monkeypatch):
    monkeypatch.setattr("lightning_untrac.runs.latent.find_spec", lambda name: "there")
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--projection", "umap")
    assert ran.code == 2
    assert "projection: umap is of classifiers of whole texts" in ran.text


@pytest.mark.slow
def test_umap(classified, tmp_path):
    pytest.importorskip("umap")
    folder = tmp_path / "copy"
    ran = judge(classified, folder, "--projection", "umap")
    assert ran.code == 0, ran.text
    frame = read_table(folder / JUDGED_LATENT).to_pandas()
    assert set(frame.projection) == {"umap"}
    assert frame.share.isna().all()
    assert np.isfinite(frame[["x", "y"]]).all(axis=None)


def test_where_nobody_knows_what_the_head_reads_it_is_left_out(classified, tmp_path, monkeypatch):
    from lightning_untrac.modules import probing

    monkeypatch.setattr(probing, "_known", {})
    monkeypatch.setattr(probing._Probe, "_reads", lambda self, model: None)
    folder = tmp_path / "copy"
    ran = judge(classified, folder)
    assert ran.code == 0, ran.text
    assert "it could not be found out which token's hidden state the classifier reads" in ran.text
    found = {row["measure"] for row in read_judged_measures(folder)}
    assert "macro_f1" in found
    assert not found & set(COSINES)
    assert not (folder / JUDGED_LATENT).exists()


def test_it_is_sent_to_wandb(classified, tmp_path):
    pytest.importorskip("sklearn")
    ran = judge(classified, tmp_path / "sent", "--wandb.mode", "offline")
    assert ran.code == 0, ran.text
    (logged,) = wandb_offline.offline_runs(tmp_path / "sent")
    keys = {key for row in logged.history for key in row} | set(logged.summary)
    assert any(key.startswith("plots/judged_forget_latent") for key in keys), keys
    assert not any("judged_latent" in key for key in keys if key.startswith("tables/"))  # a row an example
