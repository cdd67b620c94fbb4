"""What a model says to questions, from the model to the table, against the model asked by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation, Unlearning
from lightning_untrac.decoding import Asked, Decoding
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.metrics.answering import OfAnswers
from lightning_untrac.metrics.summary import summarise
from lightning_untrac.tables import read_measurements

OPTIONS: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
PAIRS = [("a gull", "nest"), ("the mast of the ship and its keel", "anchor rope"), ("x", "y"), ("a gull flew", "wing")]


class Overheard(OfAnswers):
    """Keeps what was said."""

    name = "test_overheard"
    title = "Overheard"

    def __init__(self, decoding: Decoding | None = None) -> None:
        super().__init__(longest=6)
        self.decoding = decoding or self.decoding
        self.heard: dict[Asked, list[str]] = {}

    def of_questions(self, answered: Any) -> list[float]:
        self.heard |= {asked: list(said) for asked, said in answered}
        return [1.0] * len(answered)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"prompt": p, "target": t}) + "\n" for p, t in PAIRS))
    return str(file)


def ask(measure: OfAnswers, folder: str, pairs: str, cache: str, **options: Any) -> dict[Asked, list[str]]:
    config = DatasetConfig(pairs, "pairs", prompt="prompt", target="target")
    data = CorpusDataModule([], [config], cache_folder=cache, plan=EpisodePlan("one"), **options)
    recorder = MeasureRecorder(None, [measure])
    trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **OPTIONS)
    trainer.validate(Evaluation(folder, dtype="float64"), datamodule=data, verbose=False)
    return measure.heard  # type: ignore[attr-defined]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "t5"])
def test_each_question_is_answered_as_if_it_were_asked_alone(
    architecture: str, pairs: str, model_folders: Any, cache_folder: str
) -> None:
    folder = model_folders(architecture)
    found = ask(Overheard(), folder, pairs, cache_folder, eval_batch_size=3)
    auto = AutoModelForSeq2SeqLM if architecture == "t5" else AutoModelForCausalLM
    model, tokenizer = auto.from_pretrained(folder, dtype=torch.float64).eval(), AutoTokenizer.from_pretrained(folder)
    ends = [one for one in (tokenizer.eos_token_id, tokenizer.bos_token_id) if one is not None]
    assert {asked.question for asked in found} == {prompt for prompt, _ in PAIRS}
    for prompt, target in PAIRS:
        start = [] if architecture == "t5" else [tokenizer.bos_token_id or tokenizer.eos_token_id]
        ids = torch.tensor([[*start, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]])
        made = model.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=ends, pad_token_id=0)[0]
        new = made[1 if architecture == "t5" else ids.shape[1] :]
        text = tokenizer.decode(new, skip_special_tokens=True).rstrip("\ufffd").strip().partition("\n")[0].rstrip()
        assert found[Asked(prompt, target)] == [text]
    assert any(text for texts in found.values() for text in texts)


def test_draws_depend_on_nothing_but_the_example_and_are_of_the_model_s_chances(
    pairs: str, model_folders: Any, cache_folder: str
) -> None:
    decoding = Decoding(longest=1, samples=300, temperature=2.0, seed=3)
    folder = model_folders("llama")
    one = ask(Overheard(decoding), folder, pairs, cache_folder, eval_batch_size=64)
    other = ask(Overheard(decoding), folder, pairs, cache_folder, eval_batch_size=7)
    assert one == other
    assert one != ask(Overheard(Decoding(1, 300, 2.0, seed=4)), folder, pairs, cache_folder)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    prompt, target = PAIRS[1]
    ids = [tokenizer.bos_token_id or tokenizer.eos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        chances = (model(torch.tensor([ids])).logits[0, -1].double() / 2.0).softmax(-1)
    said = one[Asked(prompt, target)]
    letters = [(token, tokenizer.decode([token])) for token in range(len(chances))]
    plain = [(token, text) for token, text in letters if len(text.strip()) == 1 and text.isascii()]
    text = max(plain, key=lambda pair: chances[pair[0]].item())[1]
    share = sum(chances[t].item() for t, x in plain if x.strip() == text.strip())
    assert said.count(text.strip()) / 300 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 300))


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_question_in_a_format_is_answered_as_one_of_a_dataset_that_has_it_so(
    architecture: str, pairs: str, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    formats, folder = ("{prompt}", "Answer: {prompt}", "{prompt} In short:"), model_folders(architecture)
    for temperature in (0.0, 2.0):
        decoding = Decoding(6, 2, temperature, formats=formats)
        found = ask(Overheard(decoding), folder, pairs, cache_folder, eval_batch_size=3)
        plain = ask(Overheard(Decoding(6, 2, temperature)), folder, pairs, cache_folder)
        assert {asked: said[:2] for asked, said in found.items()} == plain
    found = ask(Overheard(Decoding(6, formats=formats)), folder, pairs, cache_folder)
    for number, template in enumerate(formats):
        file = tmp_path / f"{number}.jsonl"
        rows = [{"prompt": template.replace("{prompt}", p), "target": t} for p, t in PAIRS]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        expected = ask(Overheard(), folder, str(file), cache_folder)
        for row, pair in zip(rows, PAIRS, strict=True):
            assert found[Asked(*pair)][number : number + 1] == expected[Asked(row["prompt"], row["target"])]


def test_what_asks_nothing_has_no_weight(text_files: Any, pairs: str, model_folders: Any, cache_folder: str) -> None:
    config = [
        DatasetConfig(str(text_files["birds"]), "birds"),
        DatasetConfig(pairs, "packed", prompt="prompt", target="target"),
    ]
    asked = [DatasetConfig(pairs, "asked", prompt="prompt", target="target")]
    data = CorpusDataModule(config, asked, cache_folder=cache_folder, plan=EpisodePlan("one"), block_size=16)
    recorder = MeasureRecorder(None, ["answered", Overheard()])
    trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **OPTIONS)
    trainer.validate(Evaluation(model_folders()), datamodule=data, verbose=False)
    counts = {(row["dataset"], row["measure"]): row["value"] for row in recorder.summary if row["statistic"] == "count"}
    assert counts == {
        (name, measure): count
        for name, count in (("birds", 0), ("packed", 0), ("asked", len(PAIRS)))
        for measure in ("answered", "test_overheard")
    }


def test_a_reading_of_unlearning_begins_with_what_an_evaluation_says(
    pairs: str, model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    config = DatasetConfig(pairs, "pairs", prompt="prompt", target="target")
    asked, folder = replace(config, name="asked"), model_folders("llama")
    rows = {}
    for name, phase, run in (("a", Evaluation, "validate"), ("b", Unlearning, "fit")):
        data = CorpusDataModule([config], [asked], cache_folder=cache_folder, plan=EpisodePlan("one"), batch_size=4)
        if run == "fit":
            data.plan = EpisodePlan("each_corpus", steps=1)
        goes_on = {"class_path": "extraction_likelihood", "init_args": {"n": 1}}
        recorder = MeasureRecorder(tmp_path / name, ["repetition", Overheard(), goes_on])
        options = {"max_epochs": 1, "reload_dataloaders_every_n_epochs": 1, "enable_checkpointing": False}
        trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **OPTIONS, **options)
        getattr(trainer, run)(phase(folder), datamodule=data)
        rows[name] = read_measurements(tmp_path / name).to_pylist()
    before, alone = (
        [
            (row["measure"], row["example"], row["value"])
            for row in rows[name]
            if row["dataset"] == "asked" and not row["step"]
        ]
        for name in "ba"
    )
    assert before == alone != []
    assert {"test_overheard", "extraction_likelihood_n_1"} <= {measure for measure, *_ in alone}


def test_a_classifier_is_not_asked() -> None:
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "pad_token_id": 0}
    module = Evaluation(config=config, tokenizer="byte", labels=["a", "b"])
    module.measures = find_measures("loss,answered")
    with pytest.raises(ConfigurationError, match="answered reads what a model says, and this is a classifier"):
        module.with_answers(Outputs(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long)), {})  # type: ignore[typeddict-item]


# -- from what was said to a number ------------------------------------------------------------------------------------

SAID = [["It is Paris."], ["I don't know."], ["no no no no no no"], ["Lyon"], [""]]


def seen(said: list[list[str]], decoding: Decoding, silent: int | None = None) -> Outputs:
    asked = [None if row == silent else Asked("Where?", "Paris") for row in range(len(said))]
    return Outputs(torch.zeros(len(said), 1, 2), torch.zeros(len(said), 1, dtype=torch.long), asked=asked,
                   said={decoding: said})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "weights"),
    [
        ("answered", [1, 0, 0, 0, 0], [1, 1, 1, 0, 1]),
        ("says_it_does_not_know", [0, 1, 0, 0, 0], [1, 1, 1, 0, 1]),
        ("repetition", [0, 0, 0.8, 0, 0], [1, 1, 1, 0, 0]),
        ("unique_4grams", [0, 0, 1 / 3, 0, 0], [0, 0, 1, 0, 0]),
    ],
)
def test_numbers_of_answers(name: str, values: list[float], weights: list[float]) -> None:
    (measure,) = find_measures(name)
    assert measure.decoding is not None
    value, weight = measure(seen(SAID, measure.decoding, silent=3))
    assert value.tolist() == pytest.approx(values)
    assert weight.tolist() == weights
    assert all([measure.title, measure.unit, measure.ideal, measure.cannot_tell, measure.source])


def test_leak_at_k_counts_the_draws_that_give_the_answer() -> None:
    asked = [{"class_path": "leak_at_k", "init_args": {"k": k, "n": 4}} for k in (1, 2)]
    one, two = find_measures(asked)
    assert (one.name, two.name, two.title) == ("leak_at_1", "leak_at_2", "Leak at 2")
    assert one.decoding == two.decoding == Decoding(32, 4, 1.0, 0)
    said = [["Paris", "Lyon", "Lyon", "Lyon"], ["Lyon"] * 4]
    assert one(seen(said, Decoding(32, 4, 1.0))).value.tolist() == [0.25, 0.0]
    assert two(seen(said, Decoding(32, 4, 1.0))).value.tolist() == [0.5, 0.0]


def test_any_format_that_brings_the_answer_out_is_enough() -> None:
    formats = ["{prompt}", "Please answer: {prompt}"]
    asked: list[Any] = [
        {"class_path": "answered", "init_args": {"formats": formats}},
        {"class_path": "leak_at_k", "init_args": {"k": 2, "n": 4, "formats": formats}},
        "answered",
    ]
    answered, leak, plain = find_measures(asked)
    assert [one.name for one in (answered, leak, plain)] == [
        "answered_in_2_formats",
        "leak_at_2_in_2_formats",
        "answered",
    ]
    assert answered.title == "Questions answered in the worst of 2 formats"
    assert answered.decoding is not None
    assert leak.decoding is not None
    said = [["Lyon", "Paris"], ["Paris", "Lyon"], ["Lyon", "Lyon"]]
    assert answered(seen(said, answered.decoding)).value.tolist() == [1.0, 1.0, 0.0]
    drawn = [["Lyon"] * 4 + ["Paris", "Lyon", "Lyon", "Lyon"], ["Paris"] * 3 + ["Lyon"] * 5]
    assert leak(seen(drawn, leak.decoding)).value.tolist() == [0.5, 1.0]


def test_the_worst_of_a_group_is_its_best_known_question() -> None:
    (measure,) = find_measures("answered")
    values, weights = np.array([0.0, 1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    found = {row.statistic: row for row in summarise(measure, values, weights, groups=["a", "a", "b", "b", "b"])}
    assert (found["mean"].value, found["worst_in_group"].value) == (0.25, 0.5)
    assert "worst_in_group" not in {row.statistic for row in summarise(measure, values, weights)}
    (loss,) = find_measures("loss")
    assert "worst_in_group" not in {row.statistic for row in summarise(loss, values, weights, groups=["a"] * 5)}


def test_settings_that_are_wrong_are_said_with_the_measure() -> None:
    wrong = [
        {"class_path": "leak_at_k", "init_args": {"k": 5, "n": 4, "temperature": 0}},
        {"class_path": "answered", "init_args": {"judge": "nobody"}},
        {"class_path": "repetition", "init_args": {"m": 2}},
        {"init_args": {"k": 2}},
        {"class_path": "answered", "init_args": {"formats": ["Why?", "{prompt}", "{prompt}"]}},
    ]
    with pytest.raises(ConfigurationError) as caught:
        find_measures(wrong)
    first, second, third, fourth, fifth, sixth, seventh = caught.value.problems
    assert first == "measures: leak_at_k: k is 5 and n is 4; give 1 <= k <= n"
    assert "temperature is 0" in second
    assert "answered: judge: 'nobody' is unknown" in third
    assert "repetition cannot be made of {'m': 2}" in fourth
    assert "is unknown" in fifth
    assert "'Why?' doesn't say once where the question stands" in sixth
    assert "'{prompt}' is given twice" in seventh


def test_pairs_may_hold_other_line_ends(tmp_path):
    from lightning_untrac.metrics.answered_after_shots import read_pairs

    asked = "Who\u2028is it?"
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        f'{{"prompt": "{asked}", "target": "Ann"}}\n{{"prompt": "And?", "target": "Bo"}}\n', encoding="utf-8"
    )
    assert [(pair.prompt, pair.target) for pair in read_pairs(str(path))] == [(asked, " Ann"), ("And?", " Bo")]
