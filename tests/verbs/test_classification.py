"""Classifiers through the verbs of language models: pretrain, unlearn, retrain, judge, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from commands import run_untrac
from scipy.stats import rankdata
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.tables import read_summary
from lightning_untrac.tables.judged import read_judged_examples, read_judged_measures

DESKS = ["garden", "harbour", "kitchen", "weather"]
TINY_GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 96}


def means(folder, measure):
    rows = [row for row in read_summary(folder).to_pylist() if (row["measure"], row["statistic"]) == (measure, "mean")]
    return {(Path(row["model"]).name, row["step"] or 0, row["dataset"]): row["value"] for row in rows}


def test_accuracy_is_the_loss_of_language_models_with_classes_for_a_vocabulary(classified):
    from torchmetrics.functional.classification import multiclass_accuracy

    model = AutoModelForSequenceClassification.from_pretrained(classified / "model").eval()
    assert list(model.config.id2label.values()) == DESKS
    tokenizer = AutoTokenizer.from_pretrained(classified / "model")
    rows = builtin_examples("topics/test", num_examples=64)
    batch = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([DESKS.index(row["label"]) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = {
        "loss": torch.nn.functional.cross_entropy(logits, labels).item(),
        "accuracy": multiclass_accuracy(logits, labels, 4, average="micro").item(),
    }
    for measure, value in expected.items():
        assert means(classified, measure)["model", 0, "test"] == pytest.approx(value, abs=1e-5)


def test_it_learns_forgets_and_is_judged(classified):
    accuracy, loss = means(classified, "accuracy"), means(classified, "loss")
    assert accuracy["model", 0, "forget"] > 0.6 > 0.25
    assert accuracy["model", 0, "forget"] > accuracy["seed-0", 0, "forget"]
    step = max(step for name, step, _ in loss if name == "unlearned-forget")
    assert loss["unlearned-forget", step, "forget"] > loss["model", 0, "forget"]
    said = (classified.parent / "judged.txt").read_text()
    assert "Accuracy" in said
    assert "xtraction" not in said


def test_the_time_of_training_stands_beside_retraining(classified):
    took = json.loads((classified / "run.json").read_text())["training_seconds"]
    assert set(took) == {"unlearned-forget", "retrained-forget/seed-0", "retrained-forget/seed-1"}
    assert all(seconds > 0 for seconds in took.values())
    again = (took["retrained-forget/seed-0"] + took["retrained-forget/seed-1"]) / 2
    line = next(line for line in (classified.parent / "judged.txt").read_text().partition("Time of training")[2]
                .splitlines() if "unlearned" in line)  # fmt: skip
    assert f"{took['unlearned-forget'] / again:.1%}" in line


def test_f1_agreement_and_membership_stand_beside_the_retrained_models(classified):
    from torchmetrics.functional.classification import binary_auroc, multiclass_f1_score

    def logits(name, part, count):
        model = AutoModelForSequenceClassification.from_pretrained(classified / name).eval()
        rows = builtin_examples(f"topics/{part}", num_examples=count)
        batch = AutoTokenizer.from_pretrained(classified / "model")(
            [row["text"] for row in rows], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return found, torch.tensor([DESKS.index(row["label"]) for row in rows])

    rows = read_judged_measures(classified)
    value = {(row["measure"], Path(row["model"]).name, row["dataset"], row["statistic"]): row for row in rows}
    test, right = logits("unlearned-forget", "test", 64)
    f1 = value["macro_f1", "unlearned-forget", "test", "mean"]
    assert f1["value"] == pytest.approx(multiclass_f1_score(test, right, 4, average="macro").item(), abs=1e-6)
    assert f1["ci_low"] < f1["value"] < f1["ci_high"]
    retained, of_retained = logits("unlearned-forget", "rest", 240)
    read = read_judged_examples(classified).to_pandas().query("model.str.endswith('/model') and measure == 'accuracy'")
    places = torch.tensor(read[read.dataset == "rest"].example.tolist())
    assert len(places) == 120  # those that a reading takes
    expected = multiclass_f1_score(retained[places], of_retained[places], 4, average="macro").item()
    assert value["macro_f1", "unlearned-forget", "(retained)", "mean"]["value"] == pytest.approx(expected, abs=1e-6)
    retrained = [logits(f"retrained-forget/seed-{seed}", "test", 64)[0].argmax(1) for seed in (0, 1)]
    agree = np.mean([(test.argmax(1) == one).float().mean().item() for one in retrained])
    assert value["agreement", "unlearned-forget", "test", "mean"]["value"] == pytest.approx(agree, abs=1e-6)
    between = (retrained[0] == retrained[1]).float().mean().item()
    assert value["agreement", "seed-0", "test", "mean"]["value"] == pytest.approx(between, abs=1e-6)
    forget = logits("unlearned-forget", "forget", 48)[0]
    both = torch.cat([forget, test]).double().softmax(-1)
    members = (torch.arange(112) < 48).long()
    for measure, score in (("confidence", both.amax(-1)), ("entropy", -torch.special.entr(both).sum(-1))):
        found = value[f"membership_{measure}", "unlearned-forget", "forget", "mean"]["value"]
        ranks = torch.tensor(rankdata(score.numpy()) / 113)
        assert found == pytest.approx(binary_auroc(ranks, members).item(), abs=0.002)
    assert ("membership_loss", "unlearned-forget", "test", "mean") not in value
    difference = value["macro_f1", "unlearned-forget", "forget", "difference"]
    assert difference["ci_low"] <= difference["value"] <= difference["ci_high"]
    assert "Macro-F1" in (classified.parent / "judged.txt").read_text()


def test_the_same_command_again_does_nothing(classified):
    data = classified.parent / "data.yaml"
    ran = run_untrac("retrain", "--forget", "forget", "--config", data, "--output", classified)
    assert ran.code == 0, ran.text
    assert "finished already" in ran.text


def test_adapters_keep_the_head(classified, tmp_path):
    data = classified.parent / "data.yaml"
    lora = ("--model.lora", "{r: 2, target_modules: [query, value]}", "--steps", "2", "--objective", "npo")
    lora += ("--readings", "1", "--model.name_or_path", classified / "model")
    ran = run_untrac("unlearn", "--forget", "forget", "--config", data, "--output", tmp_path / "out", *lora)
    assert ran.code == 0, ran.text
    after = means(tmp_path / "out", "loss")["unlearned-forget", 2, "forget"]
    settings = json.loads((tmp_path / "out" / "unlearned-forget" / "adapter_config.json").read_text())
    assert settings["task_type"] == "SEQ_CLS"
    assert {"classifier", "pooler"} <= set(settings["modules_to_save"])
    name = ("--model.name_or_path", tmp_path / "out" / "unlearned-forget")
    ran = run_untrac("evaluate", "--config", data, "--output", tmp_path / "again", *name)
    assert ran.code == 0, ran.text
    assert means(tmp_path / "again", "loss")["unlearned-forget", 0, "forget"] == pytest.approx(after, abs=1e-6)


# -- what is wrong, before step 0 --------------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path, class_content):
    def run(verb="pretrain", *flags, model=None, **data):
        merged = {
            **class_content,
            "model": {**class_content["model"], **(model or {})},
            "data": {**class_content["data"], **data},
        }
        path = tmp_path / "bad.yaml"
        path.write_text(yaml.safe_dump(merged))
        ran = run_untrac(verb, "--config", path, "--output", tmp_path / "out", *flags)
        assert ran.code == 2, ran.text
        return ran.text

    return run


def rows_file(folder, rows, name="rows.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_labels_that_are_none(refused, tmp_path):
    rows = [{"text": f"note {index}", "label": label} for index, label in enumerate(["garden", "attic", "attic"])]
    unknown = rows_file(tmp_path, rows)
    outside = rows_file(tmp_path, [{"text": "a", "label": 3}, {"text": "b", "label": 4}], "outside.jsonl")
    several = rows_file(tmp_path, [{"text": "a", "label": ["garden", "kitchen"]}], "several.jsonl")
    paths = {"unknown": unknown, "outside": outside, "several": several}
    said = refused(corpora=[{"name": name, "path": path} for name, path in paths.items()])
    assert "'attic' (2 times): no class of the model; its classes are garden, harbour, kitchen, weather" in said
    assert "'4' (1 time): out of range; the model has 4 classes, numbered 0 to 3" in said
    assert "multi-label" in said


def test_one_class_only(refused, tmp_path):
    one = rows_file(tmp_path, [{"text": f"note {index}", "label": "garden"} for index in range(3)])
    assert "all 3 targets are of the class 'garden'" in refused(corpora=[{"name": "one", "path": one}])
    assert "1 class; a classifier needs two or more" in refused(model={"labels": ["garden"]})


def test_a_decoder_without_a_padding_token(refused):
    model = {"config": {**TINY_GPT2, "pad_token_id": None}}
    assert "has no padding token; set pad_token_id" in refused(model=model)


@pytest.mark.parametrize("verb", ["unlearn", "retrain"])
def test_a_class_that_nothing_retains(refused, tmp_path, verb):
    labels = {"rest": ["garden", "kitchen"], "forget": ["garden", "weather"]}
    corpora = []
    for name, mine in labels.items():
        rows = [{"text": f"{name} {label}", "label": label} for label in mine]
        corpora.append({"name": name, "path": rows_file(tmp_path, rows, f"{name}.jsonl")})
    steps = ("--steps", "1")
    assert "every example of 'weather' is forgotten" in refused(verb, "--forget", "forget", *steps, corpora=corpora)
    said = refused(verb, "--forget", "forget", *steps, corpora=corpora[1:])
    nothing_stays = {
        "unlearn": "forget is all that there is, and nothing stays",
        "retrain": "leaves nothing to train on",
    }
    assert nothing_stays[verb] in said


def test_a_language_model_reads_no_classes(refused, tmp_path):
    path = rows_file(tmp_path, [{"text": "a b", "label": "garden"}])
    model = {"labels": None, "tokenizer": "byte", "config": TINY_GPT2}
    said = refused(model=model, corpora=[{"name": "named", "path": path, "label": "label"}], test_sets=[])
    assert "the model is a language model" in said


def test_classifiers_have_no_unlearning_depth(classified, untrac):
    data = classified.with_name("data.yaml")
    given = ("--forget", "forget", "--config", data, "--output", classified)
    ran = untrac("judge", *given, "--measures", "loss,depth")
    assert ran.code == 2
    assert "depth: it reads language models, and these are classifiers; leave it out" in ran.text
