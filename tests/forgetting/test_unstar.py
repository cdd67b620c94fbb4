"""``untrac unlearn --method unstar`` on a model that really answers, writes reasons and rewords."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import little_people
import pytest
import torch
import yaml
from memorised_texts import cut_at, weights

from lightning_untrac.tables.ledger import read_ledgers
from lightning_untrac.tables.measurements import read_summary

UNSTAR = ("--method", "unstar", "--predict", "false", "--readings", 1, "--measures", "answered")
ADAPTERS = {"r": 4, "target_modules": "all-linear", "lora_alpha": 8}


@pytest.fixture
def config(tmp_path: Path, people: little_people.LittlePeople, cache_folder: str) -> Callable[..., Path]:
    """A configuration; keyword arguments replace parts of its data."""

    def write(lora: Any = ADAPTERS, **data: Any) -> Path:
        content = {
            "model": {
                "name_or_path": people.model,
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 5e-3}},
                **({"lora": lora} if lora else {}),
            },
            "data": {
                "forget": [people.entry("forget")],
                "corpora": [people.entry("near"), people.entry("far")],
                "test_sets": [people.entry("held")],
                "append_eos": True,
                "cache_folder": cache_folder,
                **data,
            },
            "trainer": {"accelerator": "cpu"},
        }
        path = tmp_path / f"config-{len(list(tmp_path.glob('config-*')))}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def rows_of(output: Path) -> list[dict[str, Any]]:
    (rows,) = read_ledgers(output).values()
    return rows


def after(output: Path) -> dict[str, float]:
    """The mean of ``answered`` by dataset, at the last reading."""
    table = read_summary(output)
    assert table is not None
    found = [row for row in table.to_pylist() if row["measure"] == "answered" and row["statistic"] == "mean"]
    last = max(row["step"] for row in found)
    return {row["dataset"]: row["value"] for row in found if row["step"] == last}


@pytest.mark.slow
def test_it_forgets_the_fact_and_keeps_what_is_near(
    untrac: Any, config: Any, people: little_people.LittlePeople, tmp_path: Path
) -> None:
    command = ("unlearn", "--forget", "forget", *UNSTAR, "--config", config(), "--output", tmp_path / "out")
    ran = untrac(*command)
    assert ran.code == 0, ran.text
    assert after(tmp_path / "out") == {"forget": 0.0, "held": 0.0, "near": 1.0, "far": 1.0}
    rows = rows_of(tmp_path / "out")
    first = [row for row in rows if row["round"] == 1 and row["kind"] == "forget"]
    assert {row["said"] for row in first} == {"Elmsford College"}
    taken = [row for row in rows if row["kind"] == "forget" and row["verdict"] == "taken"]
    assert all(row["wrong"] in row["text"] and "Elmsford" not in row["text"] for row in taken)
    assert all(row["text"].startswith("Answer: ") for row in taken)  # its own skill, and no script
    # What the given wordings leave is found by rewording.
    assert "Mara Velt was a pupil of which school?" in {row["question"] for row in rows if row["origin"] == "reworded"}
    held = {json.loads(line)["prompt"] for line in (people.folder / "held.jsonl").read_text().splitlines()}
    assert not held & {row["question"] for row in rows}
    last = [row for row in rows if row["round"] == max(one["round"] for one in rows)]
    assert not any(row["known"] for row in last if row["kind"] == "forget")
    assert "is answered any more" in ran.text
    assert (tmp_path / "out" / "unlearned-forget" / "adapter_model.safetensors").exists()
    assert "finished already" in untrac(*command).text


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_to_the_same_bits(
    untrac: Any, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--checkpoint_every", 1, "--method.rounds", 2, "--method.samples", 1)
    command = ("unlearn", "--forget", "forget", *UNSTAR, *flags, "--config", config())
    assert untrac(*command, "--output", tmp_path / "whole").code == 0
    # Within a round, and right after one has begun.
    for step in (2, 6):
        cut_at(step, monkeypatch, untrac, (*command, "--output", tmp_path / f"cut-{step}"))
        ran = untrac(*command, "--output", tmp_path / f"cut-{step}")
        assert ran.code == 0, ran.text
        whole, cut = (weights(tmp_path / name / "unlearned-forget", "adapter_model.safetensors")
                      for name in ("whole", f"cut-{step}"))  # fmt: skip
        assert all(torch.equal(cut[name], whole[name]) for name in whole)
        assert rows_of(tmp_path / f"cut-{step}") == rows_of(tmp_path / "whole")


def refused(untrac: Any, tmp_path: Path, config: Path, *flags: Any, forget: str = "forget") -> str:
    ran = untrac("unlearn", "--forget", forget, *UNSTAR, "--config", config, "--output", tmp_path / "out", *flags)
    assert ran.code != 0
    return " ".join(ran.text.split())


def test_an_association_that_the_model_does_not_know(
    untrac: Any, config: Any, people: little_people.LittlePeople, tmp_path: Path
) -> None:
    text = refused(untrac, tmp_path, config(forget=[people.entry("unknown")]), forget="unknown")
    assert "the model answers none of 3 questions to begin with" in text
    lines = (tmp_path / "out" / "unlearned-unknown.ledger.jsonl").read_text().splitlines()
    assert len([line for line in lines if json.loads(line)["kind"] == "forget"]) == 3


def test_a_generator_that_only_refuses(untrac: Any, config: Any, tmp_path: Path) -> None:
    script = json.dumps({"class_path": "scripted", "init_args": {"script": {}, "otherwise": "I don't know."}})
    text = refused(untrac, tmp_path, config(), "--method.generator", script, "--method.tries", 2)
    assert "no anti-sample passed the filter in 2 rounds: wrong answer missing (6)" in text
    lines = (tmp_path / "out" / "unlearned-forget.ledger.jsonl").read_text().splitlines()
    assert {row["text"] for row in map(json.loads, lines) if row["kind"] == "forget"} == {"I don't know."}


def test_all_that_is_wrong_with_the_settings_is_said_before_anything_is_loaded(
    untrac: Any, config: Any, tmp_path: Path
) -> None:
    flags = ("--method.generator", "parrot", "--method.judge", "lexica", "--method.rounds", 0)
    text = refused(untrac, tmp_path, config(), *flags, "--method.wrong_answers", "none", "--method.filter", "sieve")
    assert "5 problems" in text
    for said in ("'parrot' is unknown", "did you mean 'lexical'", "method.rounds: 0", "'none'", "'sieve'"):
        assert said in text
    assert not (tmp_path / "out").exists()


def test_a_forget_set_that_asks_nothing(untrac: Any, config: Any, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": "Mara Velt studied at Elmsford College."}) + "\n")
    entry = {"name": "texts", "path": str(tmp_path / "texts.jsonl")}
    text = refused(untrac, tmp_path, config(forget=[entry]), forget="texts")
    assert "texts: has no questions" in text


@pytest.mark.slow
def test_what_asks_for_the_fact_among_what_is_to_stay_is_left_out(
    untrac: Any, config: Any, people: little_people.LittlePeople, tmp_path: Path
) -> None:
    """The same question, and another wording under the same group."""
    rows = [json.loads(line) for line in (people.folder / "near.jsonl").read_text().splitlines()]
    asked = [json.loads(line) for line in (people.folder / "forget.jsonl").read_text().splitlines()]
    other = "Mara Velt was a pupil of which school?"
    (tmp_path / "near.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, asked[0], {**asked[0], "prompt": other}])
    )
    near = {**people.entry("near"), "path": str(tmp_path / "near.jsonl")}
    path = config(corpora=[near, people.entry("far")])
    ran = untrac("unlearn", "--forget", "forget", *UNSTAR, "--config", path, "--output", tmp_path / "out", "--steps", 1)
    assert ran.code == 0, ran.text
    assert "near: 2 questions of 5 ask for what is forgotten" in " ".join(ran.text.split())
    assert {row["question"] for row in rows_of(tmp_path / "out") if row["kind"] == "retain"}.isdisjoint(
        {asked[0]["prompt"], other}
    )
    assert "not all is forgotten" in ran.text


def test_a_group_of_several_facts_is_taken_apart(
    untrac: Any, config: Any, people: little_people.LittlePeople, tmp_path: Path
) -> None:
    asked = [json.loads(line) for name in ("forget", "near") for line in
             (people.folder / f"{name}.jsonl").read_text().splitlines()[:1]]  # fmt: skip
    (tmp_path / "both.jsonl").write_text("".join(json.dumps({**row, "group": "Mara"}) + "\n" for row in asked))
    path = config(
        forget=[{**people.entry("forget"), "path": str(tmp_path / "both.jsonl")}], corpora=[people.entry("far")]
    )
    ran = untrac("unlearn", "--forget", "forget", *UNSTAR, "--config", path, "--output", tmp_path / "out", "--steps", 1)
    assert ran.code == 0, ran.text
    found = {row["fact"]: row["wrong"] for row in rows_of(tmp_path / "out") if row["round"] == 1 and row["wrong"]}
    assert set(found) == {"Mara (Elmsford College)", "Mara (driver)"}
    assert found["Mara (Elmsford College)"].split()[-1] in ("Academy", "College", "School")


def test_without_its_objective_it_takes_no_step(people: little_people.LittlePeople, tmp_path: Path) -> None:
    """In a Trainer of the user's own: the default objective would climb on anti-samples."""
    import lightning.pytorch as L

    from lightning_untrac import CorpusDataModule, DatasetConfig, Unlearning
    from lightning_untrac.data import EpisodePlan
    from lightning_untrac.errors import ConfigurationError
    from lightning_untrac.forgetting.unstar import UnSTAR

    def fit(module: Unlearning) -> list[str]:
        data = CorpusDataModule(
            [DatasetConfig(**people.entry("far"))], forget=[DatasetConfig(**people.entry("forget"))], append_eos=True,
            cache_folder=str(tmp_path), plan=EpisodePlan("one", only=("forget",), steps=3),
        )  # fmt: skip
        method = UnSTAR()
        trainer = L.Trainer(
            max_epochs=1, callbacks=method.callbacks(), logger=False, accelerator="cpu", enable_checkpointing=False,
            reload_dataloaders_every_n_epochs=1, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, data)
        return method.notes()

    with pytest.raises(ConfigurationError, match=r"call UnSTAR\(...\).prepare\(module\) before the fit"):
        fit(Unlearning(people.model))
    prepared = Unlearning(people.model)
    UnSTAR().prepare(prepared)
    assert "2 rounds" in fit(prepared)[0]


def test_every_file_that_is_not_there_is_said(untrac: Any, config: Any, tmp_path: Path) -> None:
    script = json.dumps({"class_path": "scripted", "init_args": {"script": "no.json"}})
    wrong = json.dumps({"class_path": "listed", "init_args": {"answers": "none.json"}})
    text = refused(untrac, tmp_path, config(), "--method.generator", script, "--method.wrong_answers", wrong)
    assert "method.generator: no.json can't be read as JSON" in text
    assert "method.wrong_answers: none.json can't be read as JSON" in text
