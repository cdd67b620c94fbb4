"""``untrac sisa``: what is trained again, what is not, and that the result never saw what is forgotten."""

from __future__ import annotations

import json
import math
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import Ran, run_untrac
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.data.shards import shards_and_slices
from lightning_untrac.runs.sharded import TRAINED, ShardedTraining
from lightning_untrac.tables import read_summary
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import read_judged_measures
from lightning_untrac.tables.latent import JUDGED_LATENT

DESKS = ["garden", "harbour", "kitchen", "weather"]
TINY_BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}
PARTS = ("--shards", 2, "--slices", 2)


def content(folder: Path, cache_folder: str, rows: dict[str, list[dict[str, Any]]]) -> Path:
    """A configuration of a classifier on some rows."""
    folder.mkdir(parents=True, exist_ok=True)
    corpora = []
    for name, of_corpus in rows.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in of_corpus))
        corpora.append({"name": name, "path": str(path)})
    config = {
        "model": {
            "tokenizer": "words",
            "labels": DESKS,
            "config": TINY_BERT,
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        },
        "data": {
            "corpora": corpora,
            "test_sets": [{"name": "test", "path": "builtin:topics/test", "num_examples": 16}],
            "batch_size": 16,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


ROWS = builtin_examples("topics/rest", num_examples=60)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache_folder: str) -> Path:
    """A folder with a trained classifier; copy it before changing it."""
    folder = tmp_path_factory.mktemp("sisa")
    config = content(folder, cache_folder, {"early": ROWS[:40], "late": ROWS[40:]})
    ran = run_untrac("pretrain", "--config", config, "--output", folder / "run", "--trainer.max_epochs", 3)
    assert ran.code == 0, ran.text
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def sisa(folder: Path, *flags: Any, forget: str = "late") -> Ran:
    ran = run_untrac("sisa", "--output", folder, "--forget", forget, *PARTS, *flags)
    assert ran.code == 0, ran.text
    return ran


def weights(ensemble: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(ensemble.glob("shard-*/model.safetensors"))]


def means(folder: Path, model: Path, measure: str = "loss") -> dict[str, float]:
    rows = [row for row in read_summary(folder).to_pylist() if row["model"] == str(model)]
    return {row["dataset"]: row["value"] for row in rows if (row["measure"], row["statistic"]) == (measure, "mean")}


def place(folder: Path, shard: int, slice_: int) -> str:
    """The content hash of a text of ``early`` in a place, which no other corpus holds."""
    from lightning_untrac import CorpusDataModule, DatasetConfig
    from lightning_untrac.modules import Pretraining

    settings = yaml.safe_load((folder / "pretrain.yaml").read_text())["data"]
    settings = settings.get("init_args", settings)
    corpora = [DatasetConfig(one["path"], one["name"]) for one in settings["corpora"]]
    data = CorpusDataModule(corpora, cache_folder=settings["cache_folder"])
    data.prepare(Pretraining(str(folder / "model")))
    hashes, other = ([data.tokenized[name].content_hash(i) for i in range(len(data.tokenized[name]))]
                     for name in ("early", "late"))  # fmt: skip
    places = shards_and_slices(hashes, 2, 2, seed=0).tolist()
    return next(h for h, where in zip(hashes, places, strict=True) if where == [shard, slice_] and h not in other)


def test_it_is_as_if_it_had_never_seen_them(run: Path, tmp_path: Path, cache_folder: str) -> None:
    ran = sisa(run)
    assert "2 of 2 shards and 4 of 4 slices were trained again" in ran.text
    before, after = weights(run / "sisa-2x2" / "ensemble"), weights(run / "unlearned-late-sisa")
    assert len(after) == 2
    assert all(one != other for one, other in zip(before, after, strict=True))

    # Another folder, where those texts never were; under other names, in another order.
    config = content(tmp_path / "other", cache_folder, {"z": ROWS[:40][::-1], "spare": ROWS[40:41]})
    never = tmp_path / "other" / "run"
    settings = yaml.safe_load(config.read_text())
    settings["data"]["corpora"] = settings["data"]["corpora"][:1]
    config.write_text(yaml.safe_dump(settings))
    ran = run_untrac("pretrain", "--config", config, "--output", never, "--trainer.max_epochs", 3)
    assert ran.code == 0, ran.text
    # It starts from the same weights: a tokenizer of words would otherwise have as many as its own texts have.
    shutil.rmtree(never / "initial_model")
    shutil.copytree(run / "initial_model", never / "initial_model")
    (tmp_path / "one.txt").write_text(place(run, 0, 0) + "\n")
    ran = run_untrac(
        *("sisa", "--output", never, "--forget", "z", "--forget_examples", tmp_path / "one.txt", *PARTS),
        *("--model.tokenizer", str(run / "initial_model")),
    )
    assert ran.code == 0, ran.text
    assert weights(never / "sisa-2x2" / "ensemble") == after


def test_only_what_held_a_forgotten_text_is_trained_again(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "one.txt").write_text(place(run, 1, 1) + "\n")
    fits: list[tuple[int, int]] = []
    fit = ShardedTraining._fit

    def counted(self: Any, state: Any, *others: Any) -> None:
        fits.append((state.shard, state.slices))
        fit(self, state, *others)

    monkeypatch.setattr(ShardedTraining, "_fit", counted)
    ran = sisa(run, "--forget_examples", tmp_path / "one.txt", forget="early")
    assert fits == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 2)]
    assert "1 of 2 shards and 1 of 4 slices were trained again" in ran.text
    before, after = weights(run / "sisa-2x2" / "ensemble"), weights(run / "unlearned-early-chosen-sisa")
    assert before[0] == after[0]
    assert before[1] != after[1]
    costs = {one["step"]: one["seconds"] for one in json.loads((run / "run.json").read_text())["costs"]}
    assert 0 < costs["sisa-early-chosen"] < costs["sisa-early-chosen: the ensemble with everything"]

    # Another forget set begins from what is there, and the same command has nothing to do.
    fits.clear()
    sisa(run)
    assert fits == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert weights(run / "sisa-2x2" / "ensemble") == before
    fits.clear()
    assert "finished already" in sisa(run).text
    assert not fits


def test_a_run_that_was_killed_goes_on(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole = Path(shutil.copytree(run, tmp_path / "whole"))
    sisa(whole)
    fit, done = ShardedTraining._fit, list[str]()

    def killed(self: Any, state: Any, *others: Any) -> None:
        if len(done) == 5:
            raise RuntimeError("killed here")
        fit(self, state, *others)
        done.append(state.key)

    with monkeypatch.context() as patched:
        patched.setattr(ShardedTraining, "_fit", killed)
        with pytest.raises(RuntimeError, match="killed here"):
            sisa(run)
    assert not (run / "unlearned-late-sisa").exists()
    again: list[str] = []

    def noted(self: Any, state: Any, *others: Any) -> None:
        again.append(state.key)
        fit(self, state, *others)

    broken = next((run / "sisa-2x2" / "shard-1").glob(f"slice-1-{done[0]}")) / "model.safetensors"
    broken.write_bytes(b"cut short")
    with monkeypatch.context() as patched:
        patched.setattr(ShardedTraining, "_fit", noted)
        sisa(run)
    assert again[0] == done[0]  # the one that is damaged
    assert not set(again[1:]) & set(done)
    assert len(again) == 4
    for name in ("sisa-2x2/ensemble", "unlearned-late-sisa"):
        assert weights(run / name) == weights(whole / name)
    assert means(run, run / "unlearned-late-sisa") == means(whole, whole / "unlearned-late-sisa")


def test_it_is_measured_and_judged_as_other_models(run: Path) -> None:
    sisa(run, "--measures", "loss,accuracy")
    result = run / "unlearned-late-sisa"
    rows = builtin_examples("topics/test", num_examples=16)
    tokenizer = AutoTokenizer.from_pretrained(result / "shard-1")
    batch = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([DESKS.index(row["label"]) for row in rows])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        members = [AutoModelForSequenceClassification.from_pretrained(path).eval() for path in result.glob("shard-*")]
        probs = torch.stack([member(**inputs).logits.softmax(-1) for member in members]).mean(0)
    expected = -probs[torch.arange(16), labels].log().mean().item()
    assert means(run, result)["test"] == pytest.approx(expected, abs=1e-5)
    accuracy = (probs.argmax(-1) == labels).float().mean().item()
    assert means(run, result, "accuracy")["test"] == pytest.approx(accuracy)
    card = (result / "README.md").read_text()
    assert "`sisa-2x2/ensemble`, from which `late` was unlearned" in card
    assert "mean of their probabilities" in card

    for verb in ("retrain", "judge"):
        ran = run_untrac(verb, "--output", run, "--forget", "late")
        assert ran.code == 0, ran.text
    assert "On late " in ran.text
    assert "nearer to the" in ran.text
    assert "sisa-2x2/ensemble" not in ran.text
    assert "it began from ensemble and not from the original" in ran.text
    # Its latent space is that of all members beside each other, and its time that of what was trained again.
    cosines = [row for row in read_judged_measures(run) if row["measure"].endswith("class_cosine")]
    known = {Path(row["model"]).name: math.isfinite(row["value"]) for row in cosines if row["statistic"] == "mean"}
    assert known["unlearned-late-sisa"]
    if find_spec("sklearn"):
        assert str(result) in read_table(run / JUDGED_LATENT)["model"].to_pylist()
    took = json.loads((run / "run.json").read_text())["training_seconds"]
    states = json.loads((run / "sisa-2x2" / TRAINED).read_text()).values()
    assert 0 < took["unlearned-late-sisa"] < sum(one["training_seconds"] for one in states)
    assert all(0 < one["training_seconds"] <= one["seconds"] for one in states)
    assert re.search(r"Time of training.*^sisa ", ran.text, re.DOTALL | re.MULTILINE)
    ran = run_untrac("unlearn", "--output", run, "--forget", "late", "--name", "more", "--model.name_or_path", result)
    assert ran.code == 2
    assert "is an ensemble of 2 models, which is measured and not trained" in ran.text


def test_a_folder_may_move_and_is_measured_again(run: Path, tmp_path: Path) -> None:
    sisa(run, "--passes", 1)
    rows = read_summary(run).num_rows
    moved = Path(shutil.copytree(run, tmp_path / "moved"))
    for kind in ("claim", "done"):
        (moved / ".untrac" / f"sisa-late.{kind}.json").unlink()
    assert "finished already" not in sisa(moved, "--passes", 1).text
    assert read_summary(moved).num_rows == rows


def test_it_is_a_stage_that_is_finished_once(tmp_path: Path, cache_folder: str) -> None:
    config = yaml.safe_load(content(tmp_path, cache_folder, {"early": ROWS[:40], "late": ROWS[40:]}).read_text())
    stages: list[dict[str, Any]] = [
        {"pretrain": {"steps": 3}},
        {"sisa": {"forget": "late", "shards": 2, "slices": 1}},
        {"retrain": {"forget": "late", "seeds": [0]}},
    ]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**config, "output": str(tmp_path / "run"), "stages": stages}))
    ran = run_untrac("run", tmp_path / "recipe.yaml")
    assert ran.code == 0, ran.text
    made = weights(tmp_path / "run" / "unlearned-late-sisa")
    assert len(made) == 2
    ran = run_untrac("run", tmp_path / "recipe.yaml")
    assert ran.code == 0, ran.text
    assert "sisa: finished already" in ran.text
    assert "retrain: finished already" in ran.text
    stages[1]["sisa"]["shards"] = 1
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**config, "output": str(tmp_path / "new"), "stages": stages}))
    ran = run_untrac("run", tmp_path / "recipe.yaml")
    assert ran.code == 2
    assert "stage 2 (sisa): shards: 1; give at least 2" in ran.text
    assert not (tmp_path / "new").exists()


def test_a_language_model_goes_on_as_its_ensemble(judged_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(judged_run, tmp_path / "run"))
    ran = run_untrac("sisa", "--output", run, "--forget", "birds", *PARTS, "--passes", 1)
    assert ran.code == 0, ran.text
    ran = run_untrac("judge", "--output", run, "--forget", "birds", "--models", "[unlearned-birds-sisa]")
    assert ran.code == 0, ran.text
    assert "On birds " in ran.text
    assert "nearer to the" in ran.text
    openings = json.loads((run / "run.json").read_text())["continuations"]["birds"]
    assert all("unlearned-birds-sisa" in opening["said"] for opening in openings)


def test_packed_corpora_can_not_be_split(run_copy: Path) -> None:
    ran = run_untrac("sisa", "--output", run_copy, "--forget", "birds", "--data.block_size", 16)
    assert ran.code == 2
    assert "data.block_size: 16 packs the corpora into blocks that hold parts of several" in " ".join(ran.text.split())


@pytest.mark.parametrize(
    ("forget", "flags", "sentences"),
    [
        (
            "late",
            ("--shards", 1, "--slices", 0, "--measures", "losss", "--trainer.devices", 2, "--name", "a b"),
            (
                "shards: 1; give at least 2",
                "slices: 0; give at least 1",
                "losss",
                "2 ranks; sisa trains its members one after another on one device",
                "name: 'a b' can't be a file name",
            ),
        ),
        ("test", (), ("forget: test is no corpus, so that no shard holds any of it",)),
        ("late", ("--shards", 61), ("shards: 61, and there are 60 samples; give fewer",)),
        ("late", ("--shards", 55), ("would hold no sample without late, and have no model; give fewer",)),
        ("cats", (), ("no dataset is named 'cats'",)),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(
    run: Path, forget: str, flags: tuple[Any, ...], sentences: tuple[str, ...]
) -> None:
    ran = run_untrac("sisa", "--output", run, "--forget", forget, *flags)
    assert ran.code == 2, ran.text
    text = " ".join(ran.text.split())
    assert all(sentence in text for sentence in sentences), ran.text
    assert not list(run.glob("sisa-*"))


def test_neither_shares_nor_adapters_nor_encoder_decoders(
    run_copy: Path, tmp_path: Path, settings: Any, model_folders: Any, pair_files: dict[str, Path]
) -> None:
    pairs = {"prompt": "prompt", "target": "target", "share": 1}
    corpora = [{"name": name, "path": str(pair_files[name]), **pairs} for name in ("birds", "ships")]
    data = {"corpora": corpora, "cache_folder": settings["data"]["cache_folder"]}
    path = tmp_path / "pairs.yaml"
    path.write_text(yaml.safe_dump({**settings, "data": data, "model": {"name_or_path": model_folders("t5")}}))
    ran = run_untrac("sisa", "--config", path, "--output", tmp_path / "out", "--forget", "birds", "--passes", 1)
    assert ran.code == 2
    text = " ".join(ran.text.split())
    assert "a `share` is of a whole training" in text
    assert "encoder-decoders are no members of an ensemble here" in text
    ran = run_untrac("sisa", "--output", run_copy, "--forget", "birds", "--model.lora", "{r: 2}")
    assert ran.code == 2
    assert "adapters are no members of an ensemble here" in ran.text


def test_another_split_takes_the_place_of_the_first(run: Path) -> None:
    sisa(run, "--passes", 1)
    again = ("sisa", "--output", run, "--forget", "late", "--shards", 3, "--slices", 1, "--passes", 1)
    ran = run_untrac(*again)
    assert ran.code == 2
    assert "holds results of 'sisa-late' with other settings" in ran.text
    ran = run_untrac(*again, "--overwrite", "true")
    assert ran.code == 0, ran.text
    assert len(weights(run / "unlearned-late-sisa")) == 3
    assert {row["method"] for row in read_summary(run).to_pylist()} == {"sisa:3x1"}
    ran = run_untrac("sisa", "--output", run, "--forget", "late", "--name", "other", *PARTS, "--passes", 1)
    assert ran.code == 0, ran.text
    assert len(weights(run / "unlearned-late-other-sisa")) == 2
    assert {row["method"] for row in read_summary(run).to_pylist()} == {"sisa:3x1", "sisa:2x2 [other]"}


def test_all_that_there_is_can_not_go(trained: Path, tmp_path: Path, cache_folder: str) -> None:
    config = content(tmp_path / "only", cache_folder, {"late": ROWS[40:]})
    ran = run_untrac("sisa", "--config", config, "--output", tmp_path / "out", "--forget", "late", *PARTS)
    assert ran.code == 2
    text = " ".join(ran.text.split())
    assert "leaves nothing to train on" in text
    assert "passes: not given, and the output folder has no pretrain.json" in text


@pytest.mark.parametrize("verb", ["sisa", "retrain"])
def test_a_trial_knows_what_training_took(run: Path, verb: str) -> None:
    before = sorted(path for path in run.rglob("*") if path.name != ".lock")
    ran = run_untrac(verb, "--output", run, "--forget", "late", "--trainer.fast_dev_run", "true")
    assert ran.code == 0, ran.text
    assert "stored nothing" in ran.text
    assert sorted(path for path in run.rglob("*") if path.name != ".lock") == before


def test_a_class_that_a_shard_loses_is_said(run: Path) -> None:
    ran = sisa(run, "--shards", 7, "--passes", 1, "--slices", 1, "--seed", 1)
    assert (run / "sisa-7x1-seed-1").is_dir()
    assert "so that its model won't know it" in ran.text
