"""TOFU's truth ratio, against golden values and a model of transformers that is asked by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.data.forget_set import ForgetChoice
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.truth_ratio import FORMS, log_truth_ratio, truth_ratio
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.outputs import AnswerLosses, Outputs
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements

OPTIONS: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
ROWS: list[dict[str, Any]] = [
    {"question": "a gull", "answer": "nest", "other": "a nest", "wrong": ["keel", "the mast of the ship"]},
    {"question": "dropped: nothing to predict", "answer": "", "other": "x", "wrong": ["never read"]},
    {"question": "the mast", "answer": "anchor rope", "other": "a rope", "wrong": []},
    {"question": "x", "answer": "y", "other": "why", "wrong": ["wing"]},
    {"question": "nobody asks", "answer": "reed", "other": "a reed", "wrong": None},
    {"question": "a gull flew", "answer": "wing", "other": "its wings", "wrong": ["z", "a tern", "oar and sail"]},
]
KEPT = [row for row in ROWS if row["answer"]]
COLUMNS = {"prompt": "question", "target": "answer", "wrong_answers": "wrong"}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def measured(
    configs: list[DatasetConfig], folder: str, cache: str, measures: Any, out: Path, **options: Any
) -> dict[tuple[str, str], dict[int, float]]:
    """By measure and dataset the value of each example that counts."""
    data = CorpusDataModule([], configs, cache_folder=cache, plan=EpisodePlan("one"), **options)
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(out, measures)], **OPTIONS)
    trainer.validate(Evaluation(folder, dtype="float64"), datamodule=data, verbose=False)
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in read_measurements(out).to_pylist():
        assert row["weight"] == 1
        found.setdefault((row["measure"], row["dataset"]), {})[row["example"]] = row["value"]
    return found


def mean_loss(model: Any, tokenizer: Any, prompt: str, answer: str) -> float:
    """Mean loss of an answer's tokens, its separator among them, of a model that is asked for nothing else."""
    ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    if model.config.is_encoder_decoder:
        labels = torch.tensor([[*ids(answer), tokenizer.eos_token_id]])
        with torch.no_grad():
            return float(model(input_ids=torch.tensor([ids(prompt)]), labels=labels).loss)
    start = tokenizer.bos_token_id or tokenizer.eos_token_id
    before = [start, *ids(prompt)]
    whole = torch.tensor([[start, *ids(f"{prompt} {answer}")]])
    with torch.no_grad():
        logits = model(whole).logits[0].double().log_softmax(-1)
    chances = [-logits[place - 1, whole[0, place]].item() for place in range(len(before), whole.shape[1])]
    return float(np.mean(chances))


def test_golden_values() -> None:
    """Mean losses of the right answer 1 and 2, of the wrong ones 1.5, 2.5 and 1, 3."""
    one = torch.ones(2, 2, dtype=torch.long)
    losses = torch.tensor([[1.5, 2.5], [1.0, 3.0]]), one, torch.tensor([1.0, 2.0]), one[0]
    found = log_truth_ratio(*losses)
    np.testing.assert_allclose(truth_ratio(found), [0.36787944, 1.0], atol=1e-8)
    means = [truth_ratio(found, form).mean().item() for form in FORMS[1:]]
    np.testing.assert_allclose(means, [0.68393972, 0.31606028, 0.61552929], atol=1e-8)
    # Over-forgotten: all forms stay finite and say so.
    far = torch.tensor([800.0, -800.0], dtype=torch.float64)
    assert [truth_ratio(far, form).tolist() for form in FORMS[1:]] == [[0, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize("paraphrased", [False, True])
def test_each_question_has_the_ratio_that_the_model_gives_it_alone_at_its_own_index(
    architecture: str, paraphrased: bool, file: str, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    folder = model_folders(architecture)
    auto = AutoModelForSeq2SeqLM if architecture == "t5" else AutoModelForCausalLM
    model, tokenizer = auto.from_pretrained(folder, dtype=torch.float64).eval(), AutoTokenizer.from_pretrained(folder)
    right = "other" if paraphrased else "answer"
    config = DatasetConfig(file, "asked", paraphrased_answer="other" if paraphrased else None, **COLUMNS)
    expected = {}
    for index, row in enumerate(KEPT):
        if row["wrong"]:
            wrong = np.mean([mean_loss(model, tokenizer, row["question"], one) for one in row["wrong"]])
            expected[index] = np.exp(mean_loss(model, tokenizer, row["question"], row[right]) - wrong)
    forms = [{"class_path": "truth_ratio", "init_args": {"form": form}} for form in FORMS]
    for size in (1, 2, 64):
        out = tmp_path / str(size)
        found = measured([config], folder, cache_folder, forms, out, eval_batch_size=size)
        assert found["truth_ratio", "asked"] == pytest.approx(expected, rel=1e-9)
        assert sorted(expected) == [0, 2, 4]  # not 0, 1, 2: of five questions two have no wrong answers
        for place, ratio in expected.items():
            of = {form: found[f"truth_ratio_form_{form}", "asked"][place] for form in FORMS[1:]}
            closer, better, share = min(ratio, 1 / ratio), max(0, 1 - ratio), 1 / (1 + ratio)
            assert list(of.values()) == pytest.approx([closer, better, share], rel=1e-9)


def test_datasets_without_wrong_answers_and_packed_ones_count_nowhere(
    file: str, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    plain = DatasetConfig(file, "plain", prompt="question", target="answer")
    asked = DatasetConfig(file, "asked", **COLUMNS)
    data = CorpusDataModule(
        [DatasetConfig(file, "packed", **COLUMNS)], [plain, asked], cache_folder=cache_folder, plan=EpisodePlan("one"),
        block_size=16,
    )  # fmt: skip
    recorder = MeasureRecorder(tmp_path, "truth_ratio,loss")
    trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **OPTIONS)
    trainer.validate(Evaluation(model_folders("llama")), datamodule=data, verbose=False)
    rows = [row for row in recorder.summary if row["measure"] == "truth_ratio" and row["statistic"] == "count"]
    assert {row["dataset"]: row["value"] for row in rows} == {"packed": 0, "plain": 0, "asked": 3}


def test_chosen_examples_keep_their_own_wrong_answers(file: str, model_folders: Any, cache_folder: str) -> None:
    data = CorpusDataModule([DatasetConfig(file, "all", **COLUMNS)], [], cache_folder=cache_folder)
    data.choose(ForgetChoice("all", ("2", "4"), "--examples"))
    module = Evaluation(model_folders("gpt2"))
    data.prepare(module)

    def texts(name: str, index: int) -> list[str]:
        rows = data.tokenized[name].other_answers["wrong_answers"][index]
        return [module.tokenizer.decode(row["labels"][row["labels"] >= 0]).strip() for row in rows]

    chosen, rest = (KEPT[index]["wrong"] or [] for index in (2, 4)), (KEPT[index]["wrong"] or [] for index in (0, 1, 3))
    assert [texts("all-chosen", index) for index in range(2)] == list(chosen)
    assert [texts("all-rest", index) for index in range(3)] == list(rest)


def test_padding_on_either_side_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 9, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 9, (2, 6), generator=generator)
    wrong = AnswerLosses(torch.tensor([[3.0, 4.0], [5.0, 0.0]]), torch.tensor([[1, 2], [3, 0]]))
    (measure,) = find_measures("truth_ratio")
    plain = measure(Outputs(logits, targets, wrong_answers=wrong))
    for more in ((0, 3), (3, 0)):
        padded = Outputs(
            torch.nn.functional.pad(logits, (0, 0, *more), value=0.5),
            torch.nn.functional.pad(targets, more, value=-100), wrong_answers=wrong,
        )  # fmt: skip
        torch.testing.assert_close(measure(padded).value, plain.value, rtol=1e-12, atol=0)
    # One more wrong answer of another question, and another wording of the right one, leave this one alone.
    wider = AnswerLosses(*(torch.nn.functional.pad(one, (0, 1)) for one in wrong))
    other = AnswerLosses(torch.tensor([[0.0], [7.0]], dtype=torch.float64), torch.tensor([[0], [2]]))
    found = measure(Outputs(logits, targets, wrong_answers=wider, paraphrased_answer=other))
    assert found.value[0].item() == pytest.approx(plain.value[0].item(), rel=1e-12)
    assert found.value[1].log().item() == pytest.approx(7 / 2 - 5 / 3, rel=1e-6)


def test_data_without_wrong_answers_refuse_it_and_say_how_to_mend_that(
    file: str, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    plain, asked = DatasetConfig(file, "plain", prompt="question", target="answer"), DatasetConfig(file, "a", **COLUMNS)
    assert measure_problems("truth_ratio", given_by({"test_sets": [plain], "forget": [asked]})) == []
    (problem,) = measure_problems("truth_ratio", given_by({"test_sets": [plain]}))
    assert "truth_ratio needs wrong_answers" in problem
    assert "{prompt: question, target: answer, wrong_answers: perturbed_answer}" in problem
    with pytest.raises(ConfigurationError, match="truth_ratio needs wrong_answers"):
        measured([plain], model_folders("llama"), cache_folder, "truth_ratio", tmp_path / "out")


def test_it_says_what_it_is() -> None:
    directions = {}
    for form in FORMS:
        (measure,) = find_measures([{"class_path": "truth_ratio", "init_args": {"form": form}}])
        text = measure_text(measure.name)
        assert all([text.title, text.ideal, text.cannot_tell, text.source])
        directions[measure.name] = text.forgetting
    assert directions == {
        "truth_ratio": 1,
        "truth_ratio_form_closer_to_1_better": 0,
        "truth_ratio_form_true_better": -1,
        "truth_ratio_form_right_share": -1,
    }
    with pytest.raises(ConfigurationError, match="form is 'mean'; give one of ratio, closer_to_1_better"):
        find_measures([{"class_path": "truth_ratio", "init_args": {"form": "mean"}}])
