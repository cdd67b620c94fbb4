"""Classifiers of words, decoders and datasets of other forms through the command line: trained, unlearned, measured."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import run_untrac
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.tables import read_summary

DESKS = ["garden", "harbour", "kitchen", "weather"]
SIZES = {"rest": 48, "forget": 16, "test": 16}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}
DEEPCUT = ("--forget", "forget", "--objective", "deepcut", "--retain", "loss", "--readings", "1", "--predict", "false")


def done(*arguments: Any) -> str:
    ran = run_untrac(*arguments)
    assert ran.code == 0, ran.text
    return ran.text


def write_config(folder: Path, model: dict[str, Any], sets: dict[str, dict[str, Any]], cache_folder: str) -> None:
    """``data.yaml``, and with the model ``train.yaml``."""
    named = {name: {"name": name, **given} for name, given in sets.items()}
    data = {"corpora": [named["rest"], named["forget"]], "test_sets": [named["test"]], "batch_size": 16}
    content = {"data": {**data, "cache_folder": cache_folder},
               "trainer": {"accelerator": "cpu", "enable_progress_bar": False}}  # fmt: skip
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    (folder / "train.yaml").write_text(yaml.safe_dump({**content, "model": {**model, "optimizer": ADAM}}))


def course(folder: Path, measure: str) -> dict[tuple[str, int, str], float]:
    rows = [row for row in read_summary(folder).to_pylist() if (row["measure"], row["statistic"]) == (measure, "mean")]
    return {(Path(row["model"]).name, row["step"] or 0, row["dataset"]): row["value"] for row in rows}


def assert_measured(folder: Path, logits: torch.Tensor, labels: torch.Tensor) -> None:
    """That the test set's readings before unlearning are what transformers' own model says of its places."""
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert course(folder, "loss")["model", 0, "test"] == pytest.approx(loss, abs=1e-5)
    right = (logits.argmax(-1) == labels).float().mean().item()
    assert course(folder, "accuracy")["model", 0, "test"] == pytest.approx(right, abs=1e-6)


def sentences(name: str) -> list[dict[str, Any]]:
    """Words of the sea and of the home; a sentence's first two have no class."""
    kinds = {"sea": ["boat", "pier", "tide"], "home": ["oven", "salt", "cook"]}
    rows = []
    for index in range(SIZES[name]):
        tags = [("sea", "home")[(index + place) // 2 % 2] for place in range(1 + index % 4)]
        words = [kinds[tag][index * place % 3] for place, tag in enumerate(tags)]
        rows.append({"tokens": [name, str(index), *words], "tags": [-100, -100, *tags]})
    return rows


def test_a_saved_encoder_becomes_a_classifier_of_words(tmp_path: Path, cache_folder: str) -> None:
    from transformers import BertConfig, BertForMaskedLM, ByT5Tokenizer

    encoder = BertConfig(vocab_size=384, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=2, max_position_embeddings=64)  # fmt: skip
    torch.manual_seed(0)
    BertForMaskedLM(encoder).save_pretrained(tmp_path / "encoder")
    ByT5Tokenizer().save_pretrained(tmp_path / "encoder")
    for name in SIZES:
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, sentences(name))))
    model = {"name_or_path": str(tmp_path / "encoder"), "task": "token_classification", "labels": ["sea", "home"]}
    write_config(tmp_path, model, {name: {"path": str(tmp_path / f"{name}.jsonl")} for name in SIZES}, cache_folder)
    given = ("--config", tmp_path / "data.yaml", "--output", tmp_path / "run")
    said = done("pretrain", "--config", tmp_path / "train.yaml", "--output", tmp_path / "run", "--steps", "40")
    assert "the saved model has no head for its classes; a new one is drawn" in said
    assert "no head" not in done("unlearn", "--config", tmp_path / "train.yaml", *given[2:], *DEEPCUT, "--steps", "2")
    done("evaluate", *given)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    trained = AutoModelForTokenClassification.from_pretrained(tmp_path / "run" / "model").eval()
    logits, labels = [], []
    for row in sentences("test"):
        with torch.no_grad():
            found = trained(**tokenizer(" ".join(row["tokens"]), return_tensors="pt")).logits[0]
        ends = torch.tensor([len(word) + 1 for word in row["tokens"]]).cumsum(0).tolist()
        logits.append(found[[end - 1 for end in ends[1:-1]]])  # a byte each: a word begins with the space before it
        labels += [["sea", "home"].index(tag) for tag in row["tags"][2:]]
    assert_measured(tmp_path / "run", torch.cat(logits), torch.tensor(labels))
    loss, accuracy = course(tmp_path / "run", "loss"), course(tmp_path / "run", "accuracy")
    assert accuracy["model", 0, "test"] > 0.8
    assert loss["unlearned-forget", 2, "forget"] > loss["model", 0, "forget"] + 0.01


def test_a_decoder_reads_a_dictionary_of_splits_and_forgets_by_adapters(tmp_path: Path, cache_folder: str) -> None:
    """Splits as ``load_dataset`` makes them of files with names for labels."""
    import datasets

    for name, count in SIZES.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["body", "kind"])
            writer.writerows([row["text"], row["label"]] for row in builtin_examples(f"topics/{name}", count))
    files = {name: str(tmp_path / f"{name}.csv") for name in SIZES}
    loaded = datasets.load_dataset("csv", data_files=files, cache_dir=str(tmp_path / "cache"))
    loaded.save_to_disk(str(tmp_path / "saved"))
    columns = {"path": str(tmp_path / "saved"), "text": "body", "label": "kind"}
    gpt2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 96}
    model = {"tokenizer": "words", "labels": DESKS, "config": gpt2}
    write_config(tmp_path, model, {name: {**columns, "split": name} for name in SIZES}, cache_folder)
    given = ("--config", tmp_path / "data.yaml", "--output", tmp_path / "run")
    done("pretrain", "--config", tmp_path / "train.yaml", "--output", tmp_path / "run", "--steps", "40")
    lora = ("--model.lora", "{r: 4, target_modules: [c_attn], fan_in_fan_out: true}", "--model.optimizer",
            "torch.optim.Adam", "--model.optimizer.lr", "0.01")  # fmt: skip
    done("unlearn", *given, *DEEPCUT, *lora, "--steps", "6", "--model.unlearning_objective.forget.weight", "5")
    done("evaluate", *given)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model").eval()
    batch = tokenizer(loaded["test"]["body"][:], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = trained(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert_measured(tmp_path / "run", logits, torch.tensor([DESKS.index(kind) for kind in loaded["test"]["kind"]]))
    loss, accuracy = course(tmp_path / "run", "loss"), course(tmp_path / "run", "accuracy")
    assert accuracy["model", 0, "rest"] > 0.5
    assert loss["unlearned-forget", 6, "forget"] > loss["model", 0, "forget"] + 0.01
    assert (tmp_path / "run" / "unlearned-forget" / "adapter_config.json").exists()


def test_a_class_goes_as_a_whole_where_that_is_asked_for(tmp_path: Path, cache_folder: str) -> None:
    rows = builtin_examples("topics/rest", 120)
    chosen = {"rest": [row for row in rows if row["label"] != "garden"],
              "forget": [row for row in rows if row["label"] == "garden"],
              "test": builtin_examples("topics/test", 16)}  # fmt: skip
    for name, some in chosen.items():
        (tmp_path / f"{name}.jsonl").write_text(
            "\n".join(json.dumps({key: row[key] for key in ("text", "label")}) for row in some)
        )
    bert = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 32}  # fmt: skip
    model = {"tokenizer": "words", "labels": DESKS, "config": bert}
    write_config(tmp_path, model, {name: {"path": str(tmp_path / f"{name}.jsonl")} for name in chosen}, cache_folder)
    done("pretrain", "--config", tmp_path / "train.yaml", "--output", tmp_path / "run", "--trainer.max_epochs", "12")
    command = ("unlearn", "--config", tmp_path / "data.yaml", "--output", tmp_path / "run", *DEEPCUT, "--passes", "8")
    refused = run_untrac(*command)
    assert refused.code == 2
    assert "give `data.whole_classes: true` and `stratified: false` for the objective" in refused.text
    whole = ("--data.whole_classes", "true")
    refused = run_untrac(*command, *whole)
    assert refused.code == 2
    assert "give `stratified: false` for the objective" in refused.text
    ran = done(*command, *whole, "--model.unlearning_objective.forget.stratified", "false")
    accuracy = course(tmp_path / "run", "accuracy")
    step = max(step for _, step, _ in accuracy)
    before, after = (
        {name: accuracy[model, at, name] for name in ("rest", "forget")}
        for model, at in (("model", 0), ("unlearned-forget", step))
    )
    assert before["forget"] > 0.6
    assert after["forget"] < 0.3
    loss = course(tmp_path / "run", "loss")
    assert loss["unlearned-forget", step, "forget"] > math.log(len(DESKS))  # sure of another class, and sound
    assert not any(word in ran for word in ("worse than guessing", "broken", "collapsed"))
    assert after["rest"] > before["rest"] - 0.1
