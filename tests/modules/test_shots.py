"""Which answered questions stand before a question: none of what is forgotten, and none of its own fact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from question_configs import question_configs

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.decoding import Asked, Pair, Shots
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.modules.asking import ShotsWarning
from lightning_untrac.modules.framing import Framing
from lightning_untrac.modules.questions import Question
from lightning_untrac.modules.shots import shots_before

ROWS = {
    "kept": [(f"q{i}", f"a{i}", f"fact {i % 4}") for i in range(12)],
    "gone": [("g0", "x", "fact 3"), ("g1", "y", "fact 9"), ("q4", "a4", "fact 8")],
    "also": [("g1", "y", "fact 7"), ("r0", "b0", "fact 0")],
    "texts": [("", "only a text", "fact 5")],
    "asked": [("q0", "a0", "fact 0"), ("never", "seen", "fact 6"), ("q1", "other", "fact 6")],
}


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, DatasetConfig]:
    return question_configs(tmp_path, ROWS)


@pytest.fixture
def attached(configs: dict[str, DatasetConfig], model_folders: Any, cache_folder: str) -> Any:
    """A module after a pass over the questions, with its Trainer and data."""

    def attach(corpora: list[str], measures: Any = "loss", only: Any = ("gone",), **options: Any) -> Any:
        options = {"cache_folder": cache_folder, "plan": EpisodePlan("one", only=only), **options}
        data = CorpusDataModule([configs[one] for one in corpora], [configs["asked"]], **options)
        module = Evaluation(model_folders("llama"))
        recorder = MeasureRecorder(None, measures)
        trainer = L.Trainer(
            accelerator="cpu", callbacks=[recorder], logger=False, enable_progress_bar=False, enable_model_summary=False
        )
        trainer.validate(module, datamodule=data, verbose=False)
        return module, recorder

    return attach


def drawn(module: Any, number: int, count: int = 100, seed: int = 0, **more: Any) -> list[Pair]:
    prompt, target, _ = ROWS["asked"][number]
    question = Question(0, [], Asked(prompt, target), "asked", number)
    return shots_before(Framing(module), question, Shots(count, seed, **more))


@pytest.mark.parametrize("packs", [{}, {"block_size": 8}])
def test_no_shot_is_of_what_is_forgotten_or_of_the_fact_that_is_asked_for(attached: Any, packs: Any) -> None:
    module, _ = attached(["kept", "gone", "also", "texts"], **packs)
    kept = {(f"q{i}", f" a{i}") for i in range(12) if i % 4 != 3 and i != 4}  # fact 3 and a copy of q4 are forgotten
    found = drawn(module, 1)
    assert {(pair.prompt, pair.target) for pair in found} == kept | {("r0", " b0")}
    assert len(found) == len(set(found))
    facts = {(f"q{i}", f" a{i}") for i in range(0, 12, 4)}
    assert {(pair.prompt, pair.target) for pair in drawn(module, 0)} == kept - facts
    assert ("q1", " a1") not in {(pair.prompt, pair.target) for pair in drawn(module, 2)}  # the same question
    assert drawn(module, 1, count=3) == found[:3]
    assert drawn(module, 1, seed=1) != found
    more = drawn(module, 1, forgotten=("also",))
    assert {(pair.prompt, pair.target) for pair in more} == {(q, a) for q, a in kept if int(q[1:]) % 4}
    module.trainer.datamodule.never_shots = ("also",)
    assert drawn(module, 1) == more


def test_a_file_takes_the_place_of_the_corpora(attached: Any, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [("g0", "x", None), ("z", "1", "fact 3"), ("never", "2", None), ("w", "3", None), ("v", "4", "fact 6")]
    lines = [json.dumps({"prompt": p, "target": t, "group": g}) for p, t, g in rows]
    file.write_text("\n".join([*lines, ""]))
    asked = {"class_path": "answered_after_shots", "init_args": {"path": str(file), "longest": 4}}
    module, recorder = attached(["gone"], [asked])
    assert {row["value"] for row in recorder.summary if row["statistic"] == "count"} >= {3.0}
    (measure,) = find_measures([asked])
    assert measure.decoding is not None
    assert measure.decoding.shots is not None
    found = drawn(module, 1, pairs=measure.decoding.shots.pairs)
    assert [(pair.prompt, pair.target) for pair in found] == [("w", " 3")]


def test_what_a_model_says_after_shots_is_what_it_says_to_the_whole_text(
    attached: Any, model_folders: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    asked = {"class_path": "answered_after_shots", "init_args": {"shots": 2, "longest": 6}}
    measures = find_measures([asked])
    heard: dict[Any, Any] = {}
    measures[0].of_questions = lambda pairs: [heard.setdefault(*one) and 0.0 for one in pairs]  # type: ignore[attr-defined]
    module, _ = attached(["kept", "gone"], measures)
    folder = model_folders("llama")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    start = tokenizer.bos_token_id or tokenizer.eos_token_id
    for number, (prompt, target, _) in enumerate(ROWS["asked"]):
        shots = drawn(module, number, 2)
        assert len(shots) == 2
        text = "".join(f"{one.prompt}{one.target}\n" for one in shots) + prompt
        ids = [start, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        import torch

        ends = [one for one in (tokenizer.eos_token_id, tokenizer.bos_token_id) if one is not None]
        made = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False, eos_token_id=ends, pad_token_id=0)
        said = tokenizer.decode(made[0, len(ids) :], skip_special_tokens=True).rstrip("\ufffd")
        assert heard[Asked(prompt, target)] == [said.strip().partition("\n")[0].rstrip()]


def test_where_there_is_nothing_to_draw_from_it_is_said(attached: Any) -> None:
    (problem,) = measure_problems("answered_after_shots", {"answers"})
    assert "needs shots" in problem
    assert "give it pairs (`path`)" in problem
    with pytest.raises(ConfigurationError, match=r"finds no pairs .*\(gone\): texts, and none of them has `prompt`"):
        attached(["gone", "texts"], "answered_after_shots")
    wrong = {"class_path": "answered_after_shots", "init_args": {"forgotten": "gnoe"}}
    with pytest.raises(ConfigurationError, match=r"forgotten names 'gnoe', .* there are kept, gone, asked"):
        attached(["kept", "gone"], [wrong])


def test_a_context_without_room_for_a_pair_is_said(attached: Any) -> None:
    long = {"class_path": "answered_after_shots", "init_args": {"longest": 60}}
    with pytest.warns(ShotsWarning, match="the context of 64 tokens has no room for a single pair"):
        attached(["kept", "gone"], [long])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read"),
        ("\n", "holds no pair"),
        ('{"prompt": "a"}\n', "line 1 is no JSON object with `prompt` and `target`"),
        ('{"prompt": "a", "target": "b"}\nhello', "line 2 is no JSON object"),
        ('{"prompt": "a", "target": 3}', "line 1: `prompt` and `target` must be texts"),
    ],
)
def test_a_file_without_pairs_is_refused(content: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        find_measures([{"class_path": "answered_after_shots", "init_args": {"path": str(path)}}])
    assert said in str(caught.value)
    with pytest.raises(ConfigurationError, match="shots is 0"):
        find_measures([{"class_path": "answered_after_shots", "init_args": {"shots": 0, "path": str(path)}}])
