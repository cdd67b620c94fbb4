"""``evaluate --original``: judge a model that anybody has unlearned, from the command line to the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Ran
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from lightning_untrac.tables.examinations import EXAMINATIONS
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES
from lightning_untrac.tables.memorisation import MEMORISATION_SUMMARY


@pytest.fixture(scope="module")
def strangers(judged_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models as somebody else might hand them over: folders of transformers alone."""
    folder = tmp_path_factory.mktemp("strangers")
    for name, source in {
        "original": "model",
        "unlearned": "unlearned-birds",
        "fresh": "retrained-birds/seed-1",
    }.items():
        shutil.copytree(judged_run / source, folder / name)
        (folder / name / "checksums.json").unlink()
    return folder


@pytest.fixture(scope="module")
def asked(strangers: Path, settings: dict[str, Any], text_files: dict[str, Path]) -> Path:
    data = {key: settings["data"][key] for key in ("test_sets", "cache_folder")}
    data["corpora"] = [one for one in settings["data"]["corpora"] if one["name"] != "birds"]
    data["forget"] = [{"name": "birds", "path": str(text_files["birds"])}]
    content = {
        "model": {"name_or_path": str(strangers / "unlearned")},
        "original": str(strangers / "original"),
        "data": data,
        "trainer": settings["trainer"],
    }
    path = strangers / "judge.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_it_is_judged_as_in_the_folder_where_it_was_made(
    asked: Path, strangers: Path, judged_run: Path, untrac: Callable[..., Ran]
) -> None:
    output = strangers / "judged"
    ran = untrac("evaluate", "--config", asked, "--output", output, "--retrained", [str(strangers / "fresh")])
    assert ran.code == 0, ran.text
    mine, theirs = (read_table(folder / JUDGED_EXAMPLES).to_pandas() for folder in (output, judged_run))
    names = {"unlearned": "unlearned-birds", "original": "model", "fresh": "seed-1"}
    mine["model"] = [names[Path(model).name] for model in mine["model"]]
    theirs["model"] = [Path(model).name for model in theirs["model"]]
    keys = ["model", "measure", "dataset", "example"]
    both = mine.merge(theirs, on=keys, suffixes=("", "_there"))
    assert len(both) == len(mine)
    assert (both["value"] - both["value_there"]).abs().max() < 1e-5
    assert set(both["role"]) == {"original", "unlearned", "retrained"}
    assert "nearer to the" in ran.text  # whichever of the two


def test_without_a_retrained_model_it_says_what_is_missing(
    asked: Path, strangers: Path, untrac: Callable[..., Ran], text_files: dict[str, Path]
) -> None:
    output = strangers / "alone"
    ran = untrac("evaluate", "--config", asked, "--output", output, "--measures", "quick")
    assert ran.code == 0, ran.text
    assert "no model that was retrained without birds is given" in ran.text
    assert "survivors are not counted" in ran.text
    means = read_table(output / JUDGED_MEASURES).to_pandas()
    assert set(means["role"]) == {"original", "unlearned"}
    assert set(means["statistic"]) == {"mean"}
    ran = untrac("report", "--output", output)
    assert ran.code == 0, ran.text
    page = (output / "report.html").read_text()
    assert "Methods by measures" in page


def test_unseen_text_alone_gives_a_level(asked: Path, strangers: Path, untrac: Callable[..., Ran]) -> None:
    rows = [{"text": f"heron {number} sings beside the water"} for number in range(12)]
    (strangers / "unseen.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = yaml.safe_load(asked.read_text())
    content["data"]["holdout"] = [{"name": "unseen", "path": str(strangers / "unseen.jsonl"), "twins_of": "birds"}]
    path = strangers / "with_holdout.yaml"
    path.write_text(yaml.safe_dump(content))
    ran = untrac("evaluate", "--config", path, "--output", strangers / "level", "--measures", "quick")
    assert ran.code == 0, ran.text
    assert "no model that was retrained without birds is given" in ran.text
    assert "survivors are not counted" not in ran.text
    rows = read_table(strangers / "level" / MEMORISATION_SUMMARY).to_pandas()
    assert {"original", "unlearned"} <= set(rows.loc[rows["statistic"] == "survivors", "role"])
    ran = untrac("report", "--output", strangers / "level")
    assert ran.code == 0, ran.text
    given = ("evaluate", "--config", path, "--output", strangers / "level", "--measures", "quick,barrier")
    ran = untrac(*given, "--fail_if", "memorisation_accuracy.survivors >= 0, attack_loss.auc >= 0, barrier/birds >= 0")
    assert ran.code == 3
    for said in ("memorisation_accuracy.survivors", "attack_loss.auc", "barrier.mean/birds"):
        assert f"{said} >= 0: birds has" in ran.text
    ran = untrac(*given, "--fail_if", "loss_on_the_line@0.5/birds < 100, kl_divergence.distance < 0")
    assert ran.code == 3
    assert "loss_on_the_line.mean@0.5/birds < 100: birds has" in ran.text
    ran = untrac(*given, "--fail_if", "attack_loss.auk > 1")
    assert ran.code == 2
    assert "did you mean 'auc'" in ran.text


def test_a_condition_fails_the_command(asked: Path, strangers: Path, untrac: Callable[..., Ran]) -> None:
    given = ("evaluate", "--config", asked, "--output", strangers / "failing", "--measures", "loss")
    assert untrac(*given, "--fail_if", "loss.min/birds > 0").code == 3
    assert untrac(*given, "--fail_if", "loss/birds < 0").code == 0


def test_what_belongs_to_a_judgement_needs_one(asked: Path, strangers: Path, untrac: Callable[..., Ran]) -> None:
    content = yaml.safe_load(asked.read_text())
    del content["original"]
    path = strangers / "no_original.yaml"
    path.write_text(yaml.safe_dump({**content, "retrained": [str(strangers / "fresh")], "measures": "loss,barrier"}))
    ran = untrac("evaluate", "--config", path, "--output", strangers / "x")
    assert ran.code == 2
    assert "retrained: belongs to a judgement" in ran.text
    assert "measures: barrier: examinations hold a model against the one before unlearning" in ran.text


def test_a_forget_set_of_its_own_is_relearned_in_part(asked: Path, strangers: Path, untrac: Callable[..., Ran]) -> None:
    settings = {"steps": 2, "readings": [1, 2], "learning_rate": 0.01}
    measures = json.dumps(["loss", {"class_path": "relearned", "init_args": settings}])
    output = strangers / "relearned"
    ran = untrac("evaluate", "--config", asked, "--output", output, "--measures", measures)
    assert ran.code == 0, ran.text
    assert "all of birds was fine-tuned on" not in ran.text
    rows = read_table(output / EXAMINATIONS).to_pandas()
    examples = rows[rows["at"] == 0].groupby(["model", "dataset"])["example"].nunique().unstack()
    assert set(examples.columns) == {"birds-rest", "birds-chosen"}
    assert (examples.sum(axis=1) == 12).all()
    unlearned = rows[rows["model"].str.endswith("unlearned")]
    loss = unlearned.groupby(["dataset", "at"])["value"].mean()
    assert loss["birds-chosen", 2.0] < loss["birds-chosen", 0.0]


def test_models_of_other_shapes_are_refused_before_weights_are_loaded(
    asked: Path, strangers: Path, untrac: Callable[..., Ran]
) -> None:
    other = Path(shutil.copytree(strangers / "fresh", strangers / "wider"))
    config = AutoConfig.from_pretrained(other)
    config.intermediate_size *= 2
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    given = ("--config", asked, "--output", strangers / "z", "--retrained", [str(other)])
    ran = untrac("evaluate", *given, "--measures", "loss,barrier")
    assert ran.code == 2
    assert "mlp.gate_proj.weight of shape" in ran.text
    assert "give models of one architecture, or leave it out" in ran.text
    assert not (strangers / "z" / JUDGED_EXAMPLES).exists()


def test_models_of_unlike_tokenizers_are_refused(asked: Path, strangers: Path, untrac: Callable[..., Ran]) -> None:
    other = Path(shutil.copytree(strangers / "fresh", strangers / "renumbered"))
    size = len(AutoTokenizer.from_pretrained(other))
    for path in other.glob("*token*"):
        path.unlink()
    words = Tokenizer(WordLevel({f"word{index}": index for index in range(size)}, unk_token="word0"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="word1", unk_token="word0").save_pretrained(other)
    ran = untrac("evaluate", "--config", asked, "--output", strangers / "y", "--retrained", [str(other)])
    assert ran.code == 2
    assert "number their tokens otherwise" in ran.text
    assert not (strangers / "y" / JUDGED_EXAMPLES).exists()
