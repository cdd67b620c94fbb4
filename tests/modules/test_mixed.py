"""A question asked together with another one: which, in which words, and what the model says to both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from question_configs import question_configs

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.decoding import Asked, Pair
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.modules.framing import Framing
from lightning_untrac.modules.questions import Question
from lightning_untrac.modules.shots import shots_before

ROWS = {
    "kept": [(f"q{i}", f"a{i}", f"fact {i}") for i in range(6)],
    "gone": [("g0", "x", "fact 3"), ("g1", "y", "fact 9"), ("q4", "a4", "fact 8")],
    "asked": [("g0", "z", "fact 3"), ("why", "so", "fact 1"), ("q0", "other", "fact 6")],
    "same": [("s0", "b", "fact 1"), ("q0", "c", "fact 1")],
}
FORMATS = ["{other} {prompt}", "1. {prompt} 2. {other}"]


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, DatasetConfig]:
    return question_configs(tmp_path, ROWS)


@pytest.fixture
def asked(configs: dict[str, DatasetConfig], model_folders: Any, cache_folder: str) -> Any:
    """What a model was asked and said, by question, after a pass over the questions."""

    def ask(settings: dict[str, Any], corpora: Any = ("kept", "gone"), size: int = 2) -> Any:
        plan = EpisodePlan("one", only=("gone",))
        data = CorpusDataModule(
            [configs[one] for one in corpora], [configs["asked"]], cache_folder=cache_folder, plan=plan,
            eval_batch_size=size,
        )  # fmt: skip
        measures = find_measures([{"class_path": "answered_mixed", "init_args": settings}])
        heard: dict[Asked, Any] = {}
        measures[0].of_questions = lambda pairs: [heard.setdefault(*one) and 0.0 for one in pairs]  # type: ignore[attr-defined]
        module = Evaluation(model_folders("llama"), dtype="float64")
        trainer = L.Trainer(
            accelerator="cpu", callbacks=[MeasureRecorder(None, measures)], logger=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.validate(module, datamodule=data, verbose=False)
        return module, measures[0], heard

    return ask


def others(module: Any, measure: Any, number: int) -> list[Pair]:
    prompt, target, _ = ROWS["asked"][number]
    return shots_before(
        Framing(module), Question(0, [], Asked(prompt, target), "asked", number), measure.decoding.beside
    )


def test_what_is_said_is_what_the_model_says_to_both_questions_in_one_prompt(asked: Any, model_folders: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    module, measure, heard = asked({"formats": FORMATS, "longest": 12})
    assert measure.name == "answered_mixed_in_2_formats"
    folder = model_folders("llama")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = [one for one in (tokenizer.eos_token_id, tokenizer.bos_token_id) if one is not None]
    for number, (prompt, target, group) in enumerate(ROWS["asked"]):
        drawn = others(module, measure, number)
        # Nothing that is forgotten, no copy of it, nothing of the fact and not the question itself.
        allowed = {f"q{i}" for i in (0, 1, 2, 5) if f"fact {i}" != group} - {prompt}
        assert {pair.prompt for pair in drawn} == allowed
        said = []
        for template in FORMATS:
            text = template.replace("{other}", drawn[0].prompt).replace("{prompt}", prompt)
            ids = [tokenizer.bos_token_id or tokenizer.eos_token_id]
            ids += tokenizer(text, add_special_tokens=False)["input_ids"]
            made = model.generate(
                torch.tensor([ids]), max_new_tokens=12, do_sample=False, eos_token_id=ends, pad_token_id=0
            )[0, len(ids) :]
            said.append(tokenizer.decode(made, skip_special_tokens=True).rstrip("\ufffd").strip())
        assert heard[Asked(prompt, target)] == said


def test_draws_are_of_the_question_and_the_seed_alone(asked: Any) -> None:
    module, measure, heard = asked({"longest": 6})
    assert asked({"longest": 6}, size=1)[2] == heard
    other = find_measures([{"class_path": "answered_mixed", "init_args": {"seed": 1}}])[0]
    chosen = [[others(module, one, number)[0] for number in range(3)] for one in (measure, other)]
    assert chosen[0] != chosen[1]


def test_the_right_answer_counts_wherever_it_is_said() -> None:
    from lightning_untrac.outputs import Outputs

    (measure,) = find_measures("answered_mixed")
    assert measure.decoding is not None
    said = {measure.decoding: [["In May.\nIt was Paris."], ["In May."]]}
    zeros = torch.zeros(2, 1, 2), torch.zeros(2, 1, dtype=torch.long)
    value, weight = measure(Outputs(*zeros, asked=[Asked("Where?", "Paris")] * 2, said=said))
    assert (value.tolist(), weight.tolist()) == ([1, 0], [1, 1])
    assert all([measure.title, measure.unit, measure.ideal, measure.cannot_tell, measure.source])


def test_what_leaves_no_other_question_is_said(asked: Any) -> None:
    (problem,) = measure_problems("answered_mixed", {"answers"})
    assert "answered_mixed needs shots" in problem
    with pytest.raises(ConfigurationError, match=r"answered_mixed finds no pairs .*\(gone\): none"):
        asked({}, ("gone",))
    with pytest.raises(ConfigurationError, match=r"answered_mixed finds no other question to ask together with 'why'"):
        asked({"longest": 4}, ("same", "gone"))
    with pytest.raises(
        ConfigurationError, match=r"room for 2 tokens of a prompt, and none of \d+ other questions fits"
    ):
        asked({"longest": 62})
    with pytest.raises(ConfigurationError, match="forgotten names 'gnoe'"):
        asked({"forgotten": "gnoe"})
    for wrong, said in (
        ({"formats": "{prompt} again"}, "'{prompt} again' doesn't say once where the other question stands"),
        ({"formats": "{other} only"}, "'{other} only' doesn't say once where the question stands"),
        ({"seed": -1}, "seed is -1"),
        ({"longest": 0}, "longest is 0"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            find_measures([{"class_path": "answered_mixed", "init_args": wrong}])
        assert said in str(caught.value)
