"""Multiple choice by likelihoods, against a model of transformers that is asked by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.data.choices import choice_prompt, right_choice
from lightning_untrac.data.sources import expand
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.outputs import AnswerLosses, Outputs
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements

ROWS: list[dict[str, Any]] = [
    {"q": f"Which {n}?", "right": n % 3, "all": [f"gull {n}", "the keel of it", "reed"][: 2 + (n > 1)]}
    for n in (0, 1, 2, 3, 4, 5, 6, 7)
]
CONFIG = {"prompt": "q", "target": "right", "choices": "all"}


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def likelihood(model: Any, tokenizer: Any, prompt: str, answer: str) -> tuple[float, int]:
    start = tokenizer.bos_token_id or tokenizer.eos_token_id
    before = 1 + len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids = torch.tensor([[start, *tokenizer(f"{prompt} {answer}", add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        logits = model(ids).logits[0].double().log_softmax(-1)
    return sum(logits[place - 1, ids[0, place]].item() for place in range(before, ids.shape[1])), ids.shape[1] - before


@pytest.mark.parametrize("lettered", [True, False])
@pytest.mark.parametrize("per_token", [True, False])
def test_the_likeliest_choice_is_that_of_the_model_asked_alone(
    lettered: bool, per_token: bool, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    folder = model_folders("gpt2")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [{**row, "right": row["right"] % len(row["all"])} for row in ROWS]
    texts = [
        {
            "q": row["q"],
            "right": row["all"][row["right"]],
            "wrong": [x for i, x in enumerate(row["all"]) if i != row["right"]],
        }
        for row in rows
    ]
    own = CONFIG if lettered else {"prompt": "q", "target": "right", "wrong_answers": "wrong"}
    config = DatasetConfig(write(tmp_path, rows if lettered else texts), "asked", **own)
    data = CorpusDataModule([], [config], cache_folder=cache_folder, plan=EpisodePlan("one"), eval_batch_size=3)
    measures = [{"class_path": "choice_accuracy", "init_args": {"per_token": per_token}}]
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[MeasureRecorder(tmp_path, measures)], logger=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.validate(Evaluation(folder, dtype="float64"), datamodule=data, verbose=False)
    found = {row["example"]: row["value"] for row in read_measurements(tmp_path).to_pylist()}
    expected = {}
    for index, row in enumerate(rows):
        prompt = choice_prompt(row["q"], row["all"]) if lettered else row["q"]
        choices = "ABC"[: len(row["all"])] if lettered else row["all"]
        scores = [likelihood(model, tokenizer, prompt, choice) for choice in choices]
        best = [total / count if per_token else total for total, count in scores]
        expected[index] = float(best.index(max(best)) == row["right"])
    assert found == expected
    assert 0 < sum(expected.values()) < len(expected)  # both happen


def test_what_has_no_wrong_answer_counts_nowhere_and_padding_changes_nothing() -> None:
    logits = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 2.0, 0.0]], [[2.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]])
    targets = torch.tensor([[0], [0], [0], [-100]])
    wrong = AnswerLosses(torch.tensor([[1.0, 1.2], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
                         torch.tensor([[1, 1], [1, 0], [0, 0], [1, 1]]))  # fmt: skip
    for per_token in (False, True):
        (measure,) = find_measures([{"class_path": "choice_accuracy", "init_args": {"per_token": per_token}}])
        for left in (0, 2):
            padded = (
                torch.nn.functional.pad(logits, (0, 0, left, 0)),
                torch.nn.functional.pad(targets, (left, 0), value=-100),
            )
            value, weight = measure(Outputs(*padded, wrong_answers=wrong))
            assert value[:2].tolist() == [1, 0]
            assert weight.tolist() == [1, 1, 0, 0]
    none = AnswerLosses(torch.zeros(4, 0), torch.zeros(4, 0, dtype=torch.long))
    assert measure(Outputs(logits, targets, wrong_answers=none)).weight.tolist() == [0, 0, 0, 0]


def test_it_says_what_it_is_and_what_it_needs() -> None:
    text = measure_text("choice_accuracy")
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == -1
    asked = DatasetConfig("a.jsonl", "a", **CONFIG)
    assert measure_problems("choice_accuracy,truth_ratio", given_by({"test_sets": [asked]})) == []
    (problem,) = measure_problems("choice_accuracy", given_by({"test_sets": [DatasetConfig("a.jsonl", "a")]}))
    assert "choice_accuracy needs wrong_answers" in problem
    assert "choices: choices" in problem


@pytest.mark.parametrize(
    ("answer", "said"),
    [("3", "'3' is no number of a choice; expected 0 to 1"), ("1.5", "is no number of a choice"), ("C", "is none of"),
     ("-1", "is no number of a choice"), ("green", "'green' is none of the choices; expected its number from 0")],
)  # fmt: skip
def test_an_answer_that_is_no_choice_is_named(answer: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        right_choice(answer, ["red", "blue"])
    rows = [
        {"q": "Which?", "right": "A", "all": ["red", "blue"]},
        {"q": "Which?", "right": answer, "all": ["red", "blue"]},
    ]
    with pytest.raises(ConfigurationError, match=f"row 2: .*{said}"):
        expand([DatasetConfig(write(tmp_path, rows), "a", **CONFIG)], tmp_path / "cache")


def test_choices_are_two_or_more_and_make_all_answers(tmp_path: Path) -> None:
    one = [{"q": "Which?", "right": 0, "all": ["red"], "kind": "x"}]
    with pytest.raises(ConfigurationError, match="row 1: 1 choices; expected 2 to 26"):
        expand([DatasetConfig(write(tmp_path, one), "a", **CONFIG)], tmp_path / "cache")
    more = [{"q": f"{n}?", "right": n % 2, "all": ["0", "1"], "kind": "xy"[n % 2]} for n in range(4)]
    config = DatasetConfig(write(tmp_path, more), "a", **CONFIG, split_by="kind", group="kind")
    for part, rows in expand([config], tmp_path / "cache"):
        assert set(rows["target"]) == {"A" if part.name == "a-x" else "B"}  # numbers are places, not texts
        assert set(rows["untrac.group"]) == {str(part.name)[-1]}
    wrong = DatasetConfig("a.jsonl", "a", wrong_answers="w", prompt="q", target="all", choices="all")
    problems = "\n".join(wrong.problems("test_sets[0]"))
    assert "`choices` is column 'all', as the prompt or the target" in problems
    assert "`choices` make the prompt and the answers; leave `wrong_answers` out" in problems
    assert "give its column as `prompt`" in "".join(DatasetConfig("a.jsonl", "a", choices="c").problems("test_sets[0]"))
