"""``judge``: unlearned models beside retrained ones, from the command line to the report."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import processes
import pytest
import torch
import wandb_offline
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.tables.distances import DISTANCES, JUDGEMENTS
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES
from lightning_untrac.tables.measurements import MEASUREMENTS


@pytest.fixture(scope="module")
def distances(judged_run: Path) -> pd.DataFrame:
    frame = read_table(judged_run / DISTANCES).to_pandas()
    return frame.assign(model=[Path(model).name for model in frame["model"]])


@pytest.fixture(scope="module")
def judgements(judged_run: Path) -> pd.DataFrame:
    frame = read_table(judged_run / JUDGEMENTS).to_pandas()
    frame["model"] = [Path(model).name for model in frame["model"]]
    return frame.set_index(["model", "dataset", "measure", "statistic"]).sort_index()


MEASURES = ("loss_gap", "kl_divergence")


def test_each_pair_of_models_has_a_row_an_example(distances: pd.DataFrame) -> None:
    pairs = set(distances[["model", "retrained_seed"]].fillna(-1).itertuples(index=False, name=None))
    unlearned = ("unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly")
    assert pairs == {
        *((model, seed) for model in (*unlearned, "model") for seed in (0, 1)),
        *((model, -1) for model in unlearned),
        ("seed-0", 1),
        ("seed-1", 0),
    }
    sizes = distances.groupby(["model", "retrained_seed", "measure", "dataset"], dropna=False).size()
    assert set(sizes.groupby("dataset").unique().map(tuple).items()) == {
        ("birds", (12,)), ("ships", (9,)), ("bread", (10,)), ("ask-birds", (5,)), ("ask-ships", (5,)),
    }  # fmt: skip


def test_distances_are_those_of_the_saved_models(judged_run: Path, distances: pd.DataFrame) -> None:
    texts = [yaml.safe_load(line)["text"] for line in Path(dataset_path(judged_run)).read_text().splitlines()]
    rows = distances[(distances["model"] == "unlearned-birds") & (distances["retrained_seed"] == 0)]
    rows = rows[rows["dataset"] == "ask-birds"].set_index(["measure", "example"])["value"]
    folders = (judged_run / "unlearned-birds", judged_run / "retrained-birds" / "seed-0")
    models = [AutoModelForCausalLM.from_pretrained(folder).eval() for folder in folders]
    tokenizer = AutoTokenizer.from_pretrained(folders[0])
    for index, text in enumerate(texts):
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
        with torch.no_grad():
            mine, theirs = (model(ids).logits[0, :-1].log_softmax(-1).double() for model in models)
        gap = (mine - theirs).gather(1, ids[0, 1:, None]).mean().abs()
        kl = (theirs.exp() * (theirs - mine)).sum(-1).mean()
        assert rows["loss_gap", index] == pytest.approx(gap.item(), rel=1e-4, abs=1e-6)
        assert rows["kl_divergence", index] == pytest.approx(kl.item(), rel=1e-4, abs=1e-6)


def dataset_path(folder: Path) -> str:
    content = yaml.safe_load((folder / "pretrain.yaml").read_text())
    return next(one["path"] for one in content["data"]["test_sets"] if one["name"] == "ask-birds")


def test_each_model_is_measured_once_as_elsewhere(judged_run: Path) -> None:
    """What ``retrain`` and ``unlearn`` measured of the same models by themselves, example by example."""
    found = read_table(judged_run / JUDGED_EXAMPLES).to_pandas()
    found["model"] = [Path(model).name for model in found["model"]]
    keys = ["model", "measure", "dataset", "example"]
    assert not found.duplicated(keys).any()
    assert set(found["measure"]) == {"loss", "memorisation_accuracy", "extraction_strength"}
    assert set(found.loc[found["role"] == "retrained", "seed"]) == {0, 1}
    models = {"model", "seed-0", "seed-1", "unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly"}
    assert set(found["model"]) == models
    elsewhere = read_table(judged_run / MEASUREMENTS).to_pandas()
    last = elsewhere.groupby("model")["step"].transform("max")  # a retrained model has no steps
    elsewhere = elsewhere[
        (elsewhere["forget_set"] == "birds") & (elsewhere["step"].isna() | (elsewhere["step"] == last))
    ]
    elsewhere = elsewhere[elsewhere["step"] != 0]
    elsewhere["model"] = [Path(model).name for model in elsewhere["model"]]
    both = found.merge(elsewhere, on=keys, suffixes=("", "_elsewhere"))
    assert set(both["model"]) == {"seed-0", "seed-1", "unlearned-birds"}
    assert len(both) == len(elsewhere)
    np.testing.assert_allclose(both["value"], both["value_elsewhere"], rtol=1e-5, atol=1e-6)
    assert (both["weight"] == both["weight_elsewhere"]).all()
    # Copies of a model are measured as it is.
    of = found.set_index(keys)["value"]
    for copy, model in (("unlearned-birds-not", "model"), ("unlearned-birds-wholly", "seed-1")):
        assert of[copy].equals(of[model])


def test_the_tidy_table_holds_every_model_and_its_difference(judged_run: Path) -> None:
    means = read_table(judged_run / JUDGED_MEASURES).to_pandas()
    means["model"] = [Path(model).name for model in means["model"]]
    of = means.set_index(["model", "measure", "dataset", "statistic"])["value"].sort_index()
    for dataset in ("birds", "(retained)", "(test sets)"):
        retrained = of["retrained-birds", "loss", dataset, "mean"]
        assert retrained == pytest.approx(
            (of["seed-0", "loss", dataset, "mean"] + of["seed-1", "loss", dataset, "mean"]) / 2
        )
        for model in ("model", "unlearned-birds-not"):
            assert of[model, "loss", dataset, "mean"] - retrained == pytest.approx(
                of[model, "loss", dataset, "difference"]
            )
    # A copy of the original brought nothing back, wherever there was something.
    back = of.xs("recovered", level="statistic")["unlearned-birds-not"].dropna()
    assert (back == 0).all()


def test_every_model_goes_on_from_the_same_openings(judged_run: Path) -> None:
    rows = json.loads((judged_run / "run.json").read_text())["continuations"]["birds"]
    assert [row["dataset"] for row in rows] == [name for name in ("birds", "ask-birds", "ask-ships") for _ in range(3)]
    said = rows[3]["said"]
    assert list(said) == ["original", "unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly", "retrained"]
    assert said["unlearned-birds-not"] == said["original"]
    text = yaml.safe_load(Path(dataset_path(judged_run)).read_text().splitlines()[0])["text"]
    assert text.startswith(rows[3]["opening"])
    model = AutoModelForCausalLM.from_pretrained(judged_run / "retrained-birds" / "seed-0").eval()
    tokenizer = AutoTokenizer.from_pretrained(judged_run / "model")
    ids = [tokenizer.eos_token_id, *tokenizer.encode(rows[3]["opening"], add_special_tokens=False)]
    for _ in range(40):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == tokenizer.eos_token_id:
            break
    whole = tokenizer.decode(ids, skip_special_tokens=True).rstrip("\ufffd")
    assert whole == rows[3]["opening"] + said["retrained"]


def test_tables_and_pictures_are_in_wandb(judged_run: Path) -> None:
    (logged,) = wandb_offline.offline_runs(judged_run)
    assert logged.group == judged_run.name
    keys = {key for row in logged.history for key in row} | set(logged.summary)
    assert any(key.startswith("tables/judgements") for key in keys), keys
    assert any(key.startswith("plots/judged_birds") for key in keys), keys
    assert any(key.startswith("tables/judged_measures") for key in keys), keys
    assert any(key.startswith("plots/judged_birds_examples_loss") for key in keys), keys
    assert not any(key.startswith("tables/judged_examples") for key in keys)
    assert not any(key.startswith("tables/distances") for key in keys)


@pytest.mark.parametrize("measure", MEASURES)
def test_closed_forms(judgements: pd.DataFrame, distances: pd.DataFrame, measure: str) -> None:
    def value(model: str, statistic: str, dataset: str = "birds") -> float:
        return judgements.loc[(model, dataset, measure, statistic), "value"]

    # A copy of the original is where the original is: the excess is what the noise leaves.
    for model in ("model", "unlearned-birds-not"):
        excess = (value(model, "start") - value(model, "noise")) / value(model, "start")
        assert value(model, "excess") == pytest.approx(excess)
        assert value(model, "nearer") == 1
        assert value(model, "original") == 0
    # A copy of a retrained model is at no distance from it, and at that of the noise from the other one.
    mine = distances[(distances["model"] == "unlearned-birds-wholly") & (distances["measure"] == measure)]
    assert mine.loc[mine["retrained_seed"] == 1, "value"].max() == 0
    birds = mine[(mine["dataset"] == "birds") & (mine["retrained_seed"] == 0)]
    other = np.average(birds["value"], weights=birds["weight"])
    assert value("unlearned-birds-wholly", "distance") == pytest.approx(other / 2)
    assert value("unlearned-birds-wholly", "nearer") < 0.5
    # Groups are their datasets' examples together.
    both = mine[mine["dataset"].isin(["ships", "bread"]) & mine["retrained_seed"].notna()]
    mean = np.average(both["value"], weights=both["weight"])
    assert value("unlearned-birds-wholly", "distance", "(retained)") == pytest.approx(mean)


def test_the_terminal_and_the_report_say_it(judged_run: Path, untrac: Callable[..., Any]) -> None:
    said = (judged_run.parent / "said.txt").read_text()
    for part in (
        "the original",
        "two retrained",
        "(retained)",
        "unlearned-birds-wholly: looks retrained",
        "On birds it is nearer to the retrained model than to the original",
        "unlearned-birds-not: not forgotten",
        "On birds it is nearer to the original than to the retrained model",
        JUDGEMENTS,
        JUDGED_MEASURES,
        "Loss (nats per token)",
        "retrained (2)",
    ):
        assert part in said, said
    assert "unlearned-birds-chosen" not in said
    folder = Path(shutil.copytree(judged_run, judged_run.with_name("reported")))
    ran = untrac("report", "--output", folder)
    assert ran.code == 0, ran.text
    page = (folder / "report.html").read_text()
    assert "Beside models that never saw it" in page
    assert page.count("unlearned-birds-wholly") > 3
    assert "How each model goes on" in page
    assert (folder / "plots" / "judged_birds.png").is_file()
    assert (folder / "plots" / "judged_birds_examples_loss.png").is_file()
    assert "What came back" in page


def test_one_retrained_model_shows_no_noise(judged_run: Path, untrac: Callable[..., Any]) -> None:
    folder = Path(shutil.copytree(judged_run, judged_run.with_name("one")))
    shutil.rmtree(folder / "retrained-birds" / "seed-1")
    # Measures that ask for more than a pass of a model: copies of each text, and unseen ones.
    unseen = f"[{{name: unseen, path: {dataset_path(folder)}}}]"
    more = ("--measures", "loss,neighbourhood,exposure", "--data.holdout", unseen)
    ran = untrac("judge", "--forget", "birds", "--models", "[unlearned-birds-not]", *more, "--output", folder)
    assert ran.code == 0, ran.text
    assert "the noise of retraining is not known" in ran.text
    frame = read_table(folder / JUDGEMENTS).to_pandas()
    assert frame.loc[frame["statistic"] == "excess", "value"].isna().all()
    assert (frame.loc[(frame["statistic"] == "nearer") & (frame["dataset"] == "birds"), "value"] == 1).all()
    means = read_table(folder / JUDGED_MEASURES).to_pandas()
    both = means[(means["role"] == "retrained") & (means["statistic"] == "mean")].groupby(["measure", "dataset"])[
        "value"
    ]
    assert (both.count() == 2).all()  # the model by itself, and as all of them
    assert (both.nunique() == 1).all()
    assert {"loss", "neighbourhood", "exposure"} == set(means["measure"])
    examples = read_table(folder / JUDGED_EXAMPLES).to_pandas()
    assert examples.groupby("measure")["role"].nunique().eq(3).all()
    exposure = examples[(examples["measure"] == "exposure") & (examples["dataset"] == "birds")]
    assert exposure["value"].between(0, np.log2(6)).all()  # a rank among five unseen texts
    assert len(exposure) == 3 * 12
    assert untrac("report", "--output", folder).code == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_measure_the_same(judged_run: Path, distances: pd.DataFrame, strategy: str) -> None:
    folder = Path(shutil.copytree(judged_run, judged_run.with_name(strategy)))
    (folder / DISTANCES).unlink()
    (folder / JUDGED_EXAMPLES).unlink()
    command = ("judge", "--forget", "birds", "--output", folder)
    started = processes.start_ranks(
        2,
        *(*command, "--trainer.devices", 2, "--trainer.strategy", strategy),
        log=folder.with_suffix(".log"),
        OMP_NUM_THREADS="1",
    )
    for one in started:
        one.wait()
    assert {one.process.exitcode for one in started} == {0}, "\n\n".join(one.text for one in started)
    found = read_table(folder / DISTANCES).to_pandas()
    assert found["weight"].tolist() == distances["weight"].tolist()
    np.testing.assert_allclose(found["value"], distances["value"], rtol=1e-4, atol=1e-6)
    one, two = (read_table(path / JUDGED_EXAMPLES).to_pandas() for path in (judged_run, folder))
    assert two["weight"].tolist() == one["weight"].tolist()
    np.testing.assert_allclose(two["value"], one["value"], rtol=1e-4, atol=1e-6)


def test_what_is_missing_is_said_before_any_work(run_copy: Path, untrac: Callable[..., Any]) -> None:
    ran = untrac("judge", "--forget", "birds", "--output", run_copy)
    assert ran.code == 2
    assert "no model that was retrained without birds; run `untrac retrain --forget birds" in ran.text
    assert "no unlearned-birds; run `untrac unlearn --forget birds" in ran.text
    ran = untrac("judge", "--forget", "brids-chosen", "--models", "[nowhere/at_all]", "--output", run_copy)
    assert ran.code == 2
    ran = untrac(
        "judge", "--forget", "brids-chosen", "--models", "[nowhere/at_all]", "--measures", "lost", "--output", run_copy
    )
    assert "lost" in ran.text, ran.text
    for part in ("no model that was retrained without brids-chosen", "nowhere/at_all", "which examples 'brids-chosen'"):
        assert part in ran.text, ran.text
    assert not (run_copy / DISTANCES).exists()


def test_a_trial_looks_at_the_models_of_the_folder_and_leaves_it_as_it_is(
    judged_run: Path, untrac: Callable[..., Any]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in judged_run.rglob("*") if path.is_file()}
    trial = ("--trainer.fast_dev_run", "true", "--models", "[unlearned-birds-not]")
    ran = untrac("judge", "--forget", "birds", *trial, "--output", judged_run)
    assert ran.code == 0, ran.text
    assert "judge: fast_dev_run tried each part once and stored nothing" in ran.text
    assert {path: path.stat().st_mtime_ns for path in judged_run.rglob("*") if path.is_file()} == before


def test_what_is_made_of_models_goes_with_them(
    judged_run: Path, untrac: Callable[..., Any], recipe_content: Any
) -> None:
    folder = Path(shutil.copytree(judged_run, judged_run.with_name("again")))
    ran = untrac("retrain", "--forget", "birds", "--output", folder, "--steps", "2", "--overwrite")
    assert ran.code == 0, ran.text
    assert not (folder / DISTANCES).exists()
    assert not (folder / JUDGEMENTS).exists()
    assert not (folder / JUDGED_EXAMPLES).exists()
    assert not (folder / JUDGED_MEASURES).exists()
