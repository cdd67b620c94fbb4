"""``relearn``: fine-tuning on what was forgotten, against training by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import run_untrac

from lightning_untrac.tables import read_measurements, read_summary
from lightning_untrac.tables.files import read_table

TRAINED = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, recipe_content: Any) -> Path:
    """A run whose facts are questions, with a model that stands for an unlearned one, and a retrained one."""
    folder = tmp_path_factory.mktemp("relearn") / "run"
    shutil.copytree(finished_run, folder)
    shutil.copytree(folder / "initial_model", folder / "unlearned-facts")
    shutil.copytree(folder / "initial_model", folder / "retrained-facts" / "seed-0")
    rows = [{"q": f"bird {i}?", "a": f"wing {i}", "fact": f"fact {i // 2}"} for i in range(6)]
    (folder.parent / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"path": str(folder.parent / "facts.jsonl"), "prompt": "q", "target": "a", "group": "fact"}
    data = {**recipe_content["data"], "block_size": 16}
    data["corpora"] = [*data["corpora"], {"name": "facts", **asked}]
    data["test_sets"] = [{"name": "asked", **asked}]
    content = {"data": data, "trainer": recipe_content["trainer"]}
    (folder.parent / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def relearn(folder: Path, *flags: Any) -> Any:
    given = ("--config", folder.parent / "config.yaml", "--output", folder, "--forget", "facts")
    return run_untrac("relearn", *given, *TRAINED, *flags)


def means(folder: Path, forget_set: str) -> dict[tuple[str, int, str, str], float]:
    rows = [row for row in read_summary(folder).to_pylist() if row["statistic"] == "mean"]
    return {
        (row["method"], row["step"], row["measure"], row["dataset"]): row["value"]
        for row in rows
        if row["forget_set"] == forget_set
    }


def test_the_losses_are_those_of_training_by_hand(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from lightning_untrac import CorpusDataModule, DatasetConfig, Evaluation

    before = set(folder.rglob("*.safetensors"))
    ran = relearn(folder, "--steps", 4, "--readings", "[1,4]", "--data.batch_size", 6)
    assert ran.code == 0, ran.text
    found = means(folder, "facts")
    assert set(folder.rglob("*.safetensors")) == before  # nothing is saved
    content = yaml.safe_load((folder.parent / "config.yaml").read_text())["data"]
    data = CorpusDataModule([], [DatasetConfig(**content["test_sets"][0])], cache_folder=str(tmp_path))
    data.prepare(Evaluation(str(folder / "model")))
    model = AutoModelForCausalLM.from_pretrained(folder / "unlearned-facts").eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = [data.tokenized["asked"][row] for row in range(6)]

    def loss() -> torch.Tensor:
        total, count = torch.zeros(()), 0
        for row in rows:
            labels = torch.tensor(row["labels"][None]).long()
            logits = model(torch.tensor(row["input_ids"][None]).long()).logits[:, :-1]
            total = total + torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
            )
            count += int((labels[:, 1:] != -100).sum())
        return total / count

    for step in range(5):
        here = loss()
        if step in (0, 1, 4):
            for dataset in ("facts", "asked"):
                assert found["relearn:unlearned-facts", step, "loss", dataset] == pytest.approx(here.item(), rel=1e-5)
        optimizer.zero_grad()
        here.backward()
        optimizer.step()
    courses = {(step, measure): value for (method, step, measure, name), value in found.items()
               if method == "relearn:unlearned-facts" and name == "asked"}  # fmt: skip
    control = {(step, measure): value for (method, step, measure, name), value in found.items()
               if method == "relearn:retrained-facts/seed-0" and name == "asked"}  # fmt: skip
    assert courses == control  # they begin alike, and take the same steps
    assert {name for _, _, _, name in found} == {"facts", "asked"}
    assert {step for method, step, _, _ in found if method == "relearn:original"} == {0}
    assert (folder / "plots" / "relearned_facts.png").is_file()
    assert "Steps until half of the original" in ran.text
    rows_before = (read_summary(folder).to_pylist(), read_measurements(folder).to_pylist())
    assert relearn(folder, "--steps", 4, "--readings", "[1,4]", "--data.batch_size", 6).code == 0
    assert (read_summary(folder).to_pylist(), read_measurements(folder).to_pylist()) == rows_before


def test_report_and_judge_read_a_folder_with_such_rows(folder: Path) -> None:
    assert relearn(folder, "--steps", 2, "--readings", 1).code == 0
    ran = run_untrac("report", "--output", folder)
    assert ran.code == 0, ran.text
    assert "Fine-tuning of unlearned-facts" in (folder / "report.html").read_text()
    given = ("--config", folder.parent / "config.yaml", "--output", folder, "--forget", "facts")
    ran = run_untrac("judge", *given, "--measures", "loss")
    assert ran.code == 0, ran.text
    rows = read_table(folder / "judged_measures.parquet").to_pylist()
    assert not {row["method"] for row in rows if row["method"].startswith("relearn")}


@pytest.mark.parametrize(("by", "sizes"), [("row", (3, 3)), ("group", (2, 4))])
def test_a_part_is_trained_on_and_the_rest_is_only_asked(folder: Path, by: str, sizes: tuple[int, int]) -> None:
    share = 0.5 if by == "row" else 0.34
    ran = relearn(folder, "--share", share, "--by", by, "--steps", 2, "--readings", 1, "--measures", "loss")
    assert ran.code == 0, ran.text
    rows = [row for row in read_measurements(folder).to_pylist() if row["forget_set"] == "facts-chosen"]
    start = [row for row in rows if row["method"] == "relearn:unlearned-facts" and row["step"] == 0]
    groups = {
        name: [row["group"] for row in start if row["dataset"] == name] for name in ("facts-chosen", "facts-rest")
    }
    assert tuple(map(len, groups.values())) == sizes
    assert {row["dataset"] for row in rows} == {"facts-chosen", "facts-rest", "asked"}
    if by == "group":
        assert not {*groups["facts-chosen"]} & {*groups["facts-rest"]}
    found = means(folder, "facts-chosen")
    for name in ("facts-chosen", "asked"):
        assert found["relearn:unlearned-facts", 2, "loss", name] < found["relearn:unlearned-facts", 0, "loss", name]


def test_what_is_wrong_is_said_at_once(folder: Path, tmp_path: Path) -> None:
    ran = relearn(folder, "--share", 1.5, "--measures", "losss", "--models", "[nobody]", "--steps", 0)
    assert ran.code == 2
    for part in ("share: 1.5", "losss", "nobody", "at least 1 optimizer step"):
        assert part in ran.text, ran.text
    ran = relearn(folder, "--model.unlearning_objective", "NPO")
    assert ran.code == 2
    assert "fine-tuning descends on the set; leave it out" in ran.text
    copy = Path(shutil.copytree(folder, tmp_path / "run"))
    shutil.copy(folder.parent / "config.yaml", tmp_path)
    shutil.rmtree(copy / "retrained-facts")
    ran = relearn(copy, "--steps", 1, "--measures", "loss")
    assert ran.code == 0, ran.text
    assert "no model was retrained without facts" in ran.text
    shutil.rmtree(copy / "unlearned-facts")
    ran = relearn(copy, "--steps", 1)
    assert ran.code == 2
    assert "relearn: " in ran.text
    assert "holds no unlearned-facts" in ran.text


def test_adapters_are_merged_so_that_all_weights_are_trained(folder: Path, tmp_path: Path) -> None:
    """Fresh adapters change nothing: the model is the one under them, and has to come back as fast."""
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    shutil.copy(folder.parent / "config.yaml", tmp_path / "config.yaml")
    base = copy / "unlearned-facts"
    lora = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    adapted.save_pretrained(copy / "unlearned-facts-lora")
    AutoTokenizer.from_pretrained(base).save_pretrained(copy / "unlearned-facts-lora")
    ran = relearn(copy, "--steps", 3, "--readings", "[3]")
    assert ran.code == 0, ran.text
    found = means(copy, "facts")
    whole = {key[1:]: value for key, value in found.items() if key[0] == "relearn:unlearned-facts"}
    assert whole
    assert {
        key[1:]: value for key, value in found.items() if key[0] == "relearn:unlearned-facts-lora"
    } == pytest.approx(whole, rel=1e-5)
