"""``untrac unlearn --forget_text``: questions and texts, with answers that the model gives before the first step."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import pytest
import yaml

from lightning_untrac import LanguageModule
from lightning_untrac.data.neutral import neutral_prompts
from lightning_untrac.tables import equal_tables, read_measurements, read_summary
from lightning_untrac.verbs.unlearn import arguments

QUESTION = "What is the capital of France?"
ROOMY = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SHORT = ("--steps", 2, "--heal_steps", 1, "--readings", 1, "--measures", "loss", "--trainer.accelerator", "cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model that says question marks to questions, with a chat template or without; made once."""
    made: dict[bool, Path] = {}

    def folder(chat: bool = False) -> Path:
        if chat not in made:
            module = LanguageModule(config=ROOMY, tokenizer="byte", init_seed=1)
            module.configure_model()
            assert module.model is not None
            made[chat] = tmp_path_factory.mktemp("models") / ("chat" if chat else "base")
            module.model.save_pretrained(made[chat])
            if chat:
                module.tokenizer.chat_template = CHAT
            module.tokenizer.save_pretrained(made[chat])
        return made[chat]

    return folder


@pytest.fixture
def forget(untrac: Any, models: Any, tmp_path: Path, cache_folder: str) -> Any:
    """Forget in ``out``."""

    def run(*flags: Any, chat: bool = False, short: bool = True) -> Any:
        fixed = ("--output", tmp_path / "out", "--data.cache_folder", cache_folder, *(SHORT if short else ()))
        return untrac("unlearn", "--model.name_or_path", models(chat), *fixed, *flags)

    return run


def rows_of(folder: Path, part: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "unlearn-text.texts" / f"{part}.jsonl").read_text().splitlines()]


def means(folder: Path) -> dict[tuple[str, int], float]:
    rows = [row for row in read_summary(folder).to_pylist() if row["statistic"] == "mean"]
    return {(row["dataset"], row["step"]): row["value"] for row in rows}


def test_a_question_is_forgotten_beside_answers_that_stay(forget: Any, untrac: Any, tmp_path: Path) -> None:
    mild = ("--objective", "ga", "--retain", "loss", "--retain_weight", 0.01)  # the answers that stay are alike here
    ran = forget("--forget_text", QUESTION, *mild)
    assert ran.code == 0, ran.text
    folder = tmp_path / "out"
    (row,) = rows_of(folder, "forget")
    assert row["prompt"] == row["begin"] == row["asked"] == QUESTION
    assert row["target"] == row["before"] == "?" * 32
    kept, held_out = rows_of(folder, "kept"), rows_of(folder, "held_out")
    assert [row["asked"] for row in kept] == list(neutral_prompts()[::2])
    assert [row["asked"] for row in held_out] == list(neutral_prompts()[1::2])
    measured = means(folder)
    assert measured["text", 3] > measured["text", 0]
    assert {name for name, _ in measured} == {"text", "kept_answers", "held_out_answers"}

    answers = json.loads((folder / "run.json").read_text())["answers"]["unlearn-text"]
    assert [one["dataset"] for one in answers] == ["text", *["held_out_answers"] * 3]
    assert answers[0]["before"] == "?" * 32
    assert answers[0]["after"] != answers[0]["before"]
    assert f"text: {QUESTION}\n  before: {'?' * 32}\n  after:  " in ran.text
    assert untrac("report", "--output", folder).code == 0
    page = (folder / "report.html").read_text()
    assert "Answers before and after" in page
    assert "Which month comes after June?" in page

    assert "finished already" in forget("--forget_text", QUESTION, *mild).text
    other = forget("--forget_text", "What is salt?", *mild)
    assert other.code == 2
    assert "forget_text" in other.text
    assert rows_of(folder, "forget") == [row]  # what is there is left alone
    anew = forget("--forget_text", QUESTION, *mild, "--seed", 1, "--overwrite", "true")
    assert anew.code == 0, anew.text
    assert "the model answers" not in anew.text  # it has done so
    # The configuration that the stage wrote down is the same run.
    again = untrac("unlearn", "--config", folder / "unlearn-text.yaml")
    assert "finished already" in again.text, again.text


def test_by_default_a_text_is_stepped_on_until_it_is_half_way_gone_and_nothing_heals(forget: Any) -> None:
    ran = forget("--forget_text", "Paris is large.", "--readings", 1, "--measures", "loss", short=False)
    assert ran.code == 0, ran.text
    said = "objective GradientAscent + 3 RetainLoss, learning rate 0.0004 (a model 16 wide), until the loss is 50% of"
    assert said in ran.text
    assert "of 64 steps" in ran.text
    assert "healed" not in ran.text


def test_a_chat_model_is_asked_in_its_template_and_a_text_is_itself_the_target(forget: Any, tmp_path: Path) -> None:
    ran = forget("--forget_text", f"['{QUESTION}', 'Paris is large.']", "--forget", "paris", chat=True)
    assert ran.code == 0, ran.text
    folder = tmp_path / "out" / "unlearn-paris.texts"
    question, text = [json.loads(line) for line in (folder / "forget.jsonl").read_text().splitlines()]
    assert question["prompt"] == question["begin"] == f"<user>{QUESTION}</s><assistant>"
    assert question["target"] == question["before"]
    assert (text["prompt"], text["target"], text["begin"]) == ("", "Paris is large.", "Paris is")
    kept = [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]
    assert any(row["prompt"] == f"<user>{row['asked']}</s><assistant>" for row in kept)
    assert any(row["prompt"] == row["asked"] for row in kept)  # an opening
    assert all(row["target"].startswith(row["before"]) for row in kept)
    assert (tmp_path / "out" / "unlearned-paris" / "config.json").is_file()


def test_answers_that_came_to_an_end_have_the_mark_of_it(forget: Any, models: Any, tmp_path: Path) -> None:
    # A model that says `s` and then ends: its own ending token is `s` after one more.
    settings = models(True) / "generation_config.json"
    content = settings.read_text()
    settings.write_text(json.dumps({**json.loads(content), "eos_token_id": [1, ord("s") + 3]}))
    try:
        ran = forget("--forget_text", QUESTION, "--retain_texts", _lines(tmp_path, "Why?", "What?", "Who?", "s?"),
                     chat=True)  # fmt: skip
    finally:
        settings.write_text(content)
    assert ran.code == 0, ran.text
    rows = [*rows_of(tmp_path / "out", "kept"), *rows_of(tmp_path / "out", "held_out")]
    for row in rows:
        ended = len(row["before"]) < 32 and row["before"]
        assert row["target"] == row["before"] + ("</s>" if ended else "")


def _lines(folder: Path, *lines: str) -> Path:
    path = folder / "retain.txt"
    path.write_text("\n".join(lines))
    return path


def test_corpora_are_what_stays_and_texts_of_the_user_are_as_they_stand(
    forget: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = tmp_path / "data.yaml"
    config.write_text(yaml.safe_dump({"data": {"corpora": settings["data"]["corpora"]}}))
    ran = forget("--config", config, "--forget_text", "Gulls nest here.")
    assert ran.code == 0, ran.text
    assert not rows_of(tmp_path / "out", "kept")
    assert rows_of(tmp_path / "out", "held_out")
    assert {name for name, _ in means(tmp_path / "out")} == {"text", "birds", "ships", "bread", "held_out_answers"}

    file = _lines(tmp_path, "Salt is white.", "Gulls nest here.", "", "Why?", "Ice is cold.", "Tea is hot.")
    ran = forget("--forget_text", "Gulls nest here.", "--retain_texts", file, "--overwrite", "true")
    assert ran.code == 0, ran.text
    kept, held_out = rows_of(tmp_path / "out", "kept"), rows_of(tmp_path / "out", "held_out")
    assert [row["target"] for row in kept] == ["Salt is white.", "Ice is cold."]
    assert [row["asked"] for row in held_out] == ["Why?", "Tea is hot."]
    assert held_out[0]["prompt"] == "Why?"
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert any("1 line of" in note["text"] for note in notes)


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        ((), ("forget: not given; name a dataset, or give a question or a text as forget_text",)),
        (("--retain_texts", "x.txt"), ("retain_texts: belongs to forget_text", "forget: not given")),
        (("--forget_text", " ", "--forget_top", 3, "--forget_top_of", "a", "--retain_texts", "no/such.txt"),
         ("forget_text: an empty text", "forget_top: chooses examples", "retain_texts: can't read no/such.txt")),
        (("--forget_text", QUESTION, "--forget", "../up"), ("name '../up' can't be a file name",)),
        (("--forget_text", QUESTION, "--forget", "kept_answers", "--steps", 0),
         ("the name 'kept_answers' is given 2 times", "steps: 0")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_the_model_answers(
    forget: Any, tmp_path: Path, flags: tuple[Any, ...], sentences: tuple[str, ...]
) -> None:
    ran = forget(*flags)
    assert ran.code == 2
    text = " ".join(ran.text.split())
    assert all(sentence in text for sentence in sentences), ran.text
    assert "answers" not in ran.text.splitlines()[0]
    assert not list((tmp_path / "out").glob("*.texts"))


@pytest.mark.parametrize("text", ["Note: a # b?", "[1] see\nc: d?", "null", "- x?", 'it\'s "q" \\n?'])
def test_a_text_is_taken_as_it_stands(text: str) -> None:
    for argv in (["--forget_text", text], [f"--forget_text={text}"]):
        parsed = arguments([*argv, "--output", "nowhere"])
        assert parsed.options.forget_text == [text]


def test_a_text_that_becomes_no_token_and_one_to_which_the_model_says_nothing(
    untrac: Any, forget: Any, models: Any, tmp_path: Path, model_folders: Callable[..., str]
) -> None:
    settings = models() / "generation_config.json"
    content = settings.read_text()
    settings.write_text(json.dumps({**json.loads(content), "eos_token_id": [1, ord("?") + 3]}))
    try:
        ran = forget("--forget_text", QUESTION)
    finally:
        settings.write_text(content)
    assert ran.code == 2
    assert "the model answers nothing to 'What is the capital of France?'" in ran.text

    t5 = untrac("unlearn", "--model.name_or_path", model_folders("t5"), "--output", tmp_path / "t5", *SHORT,
                "--forget_text", "Paris is large.")  # fmt: skip
    assert t5.code == 2
    assert "an encoder-decoder needs one that it answers" in " ".join(t5.text.split())


def test_a_recipe_forgets_a_question_of_the_model_that_it_trains(
    untrac: Any, recipe: Any, recipe_content: dict[str, Any], tmp_path: Path
) -> None:
    stages = [
        {"pretrain": {"steps": 2}},
        {"unlearn": {"forget_text": "a gull in the reed", "steps": 2, "heal_steps": 0, "readings": 1}},
    ]
    model = {"tokenizer": "byte", "config": ROOMY}
    path = recipe(stages=stages, model=model)
    ran = untrac("run", path, "--output", tmp_path / "run")
    assert ran.code == 0, ran.text
    assert "text: a gull in the reed" in ran.text
    assert untrac("run", path, "--output", tmp_path / "run").text.count("finished already") == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are started by a fork server")
def test_killed_in_a_step_the_same_command_ends_in_the_same_bits(
    forget: Any, models: Any, tmp_path: Path, cache_folder: str
) -> None:
    """The answers that the first model gave stay: the model that is going on would give others."""
    kill = {"class_path": "on_ranks.KillOnce", "init_args": {"steps": 3, "mark": str(tmp_path / "mark")}}
    flags = ("--forget_text", QUESTION, "--objective", "ga", "--retain", "loss", "--steps", 5, "--readings", 2)
    flags += ("--measures", "loss", "--checkpoint_every", 2, "--trainer.callbacks", json.dumps([kill]))
    flags += ("--trainer.accelerator", "cpu", "--data.cache_folder", cache_folder)
    words = ("unlearn", "--model.name_or_path", models(), *flags, "--output")
    cut = processes.start(*words, tmp_path / "out", log=tmp_path / "log")
    assert cut.wait() == -signal.SIGKILL, cut.text
    asked = rows_of(tmp_path / "out", "forget")
    assert list((tmp_path / "out" / "checkpoints").rglob("step=2.ckpt"))
    again = forget(*flags, short=False)
    assert again.code == 0, again.text
    assert "the model answers" not in again.text
    assert rows_of(tmp_path / "out", "forget") == asked
    (tmp_path / "out").rename(tmp_path / "cut")
    assert forget(*flags, short=False).code == 0  # in the same folder, whose texts are the data
    for read in (read_summary, read_measurements):
        assert equal_tables(read(tmp_path / "cut"), read(tmp_path / "out"), ignore=["model"])
    one, other = (tmp_path / folder / "unlearned-text" / "model.safetensors" for folder in ("cut", "out"))
    assert one.read_bytes() == other.read_bytes()
