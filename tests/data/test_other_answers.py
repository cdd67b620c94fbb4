"""Columns with further answers: whatever they lie in, each list stays with its own example."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_untrac import CorpusDataModule, DatasetConfig, Evaluation
from lightning_untrac.data.other_answers import others_taken_off
from lightning_untrac.data.sources import expand
from lightning_untrac.errors import ConfigurationError

ROWS: list[dict[str, Any]] = [
    {"q": "Who?", "a": "Ann", "other": "It was Ann", "wrong": ["Bo", "Cy"], "kind": "x"},
    {"q": "When?", "a": "May", "other": "In May", "wrong": None, "kind": "y"},
    {"q": "Why?", "a": "Rain", "other": "For rain", "wrong": ["Sun, and [wind]"], "kind": "x"},
]
CONFIG = DatasetConfig("", "a", prompt="q", target="a", wrong_answers="wrong", paraphrased_answer="other")


def write(kind: str, folder: Path, rows: list[dict[str, Any]] = ROWS) -> str:
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "wrong": json.dumps(row["wrong"] or [])} for row in rows)
    else:
        text = json.dumps(rows) if kind == "json" else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text)
    return str(path)


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv"])
def test_lists_are_read_from_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    config = replace(CONFIG, path=write(kind, tmp_path))
    ((_, rows),) = expand([config], tmp_path / "cache")
    texts, others = others_taken_off(rows)
    assert texts.column_names == ["prompt", "target"]
    assert others["wrong_answers"] == [tuple(row["wrong"] or ()) for row in ROWS]
    assert others["paraphrased_answer"] == [(row["other"],) for row in ROWS]
    parts = {config.name: rows for config, rows in expand([replace(config, split_by="kind")], tmp_path / "cache")}
    assert others_taken_off(parts["a-x"])[1]["wrong_answers"] == [("Bo", "Cy"), ("Sun, and [wind]",)]


def test_a_subsample_and_an_edited_list_are_seen(tmp_path: Path, model_folders: Any, cache_folder: str) -> None:
    module = Evaluation(model_folders("gpt2"))

    def prepared(config: DatasetConfig) -> Any:
        data = CorpusDataModule([], [config], cache_folder=cache_folder)
        data.prepare(module)
        return data.tokenized["a"]

    config = replace(CONFIG, path=write("jsonl", tmp_path), num_examples=2, sample_seed=1)
    dataset = prepared(config)
    for index in range(2):
        ids = dataset[index]["input_ids"]
        question = module.tokenizer.decode(ids[dataset[index]["labels"] < 0], skip_special_tokens=True)
        (row,) = [one for one in ROWS if one["q"] == question.strip()]
        assert len(dataset.other_answers["wrong_answers"][index]) == len(row["wrong"] or ())
        (other,) = dataset.other_answers["paraphrased_answer"][index]
        assert module.tokenizer.decode(other["labels"][other["labels"] >= 0]).strip() == row["other"]
    folder = tmp_path / "edited"
    folder.mkdir()
    edited = prepared(replace(config, path=write("jsonl", folder, [{**row, "wrong": ["No one"]} for row in ROWS])))
    assert edited.fingerprint != dataset.fingerprint == prepared(config).fingerprint


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("Bo", "row 2: holds no list of answers; write one"),
        ({"a": 1}, "row 2: holds no list of answers"),
        (["Bo", " "], "row 2: holds a list with an empty answer in it"),
        ([["Bo"]], "row 2: holds a list where text was expected"),
    ],
)
def test_a_cell_that_is_no_list_of_answers_is_named(cell: Any, said: str, tmp_path: Path) -> None:
    rows = [ROWS[0], {**ROWS[1], "wrong": cell}]
    path = write("jsonl", tmp_path, rows)
    with pytest.raises(ConfigurationError) as caught:
        expand([replace(CONFIG, path=path)], tmp_path / "cache")
    assert said.removeprefix("row 2: ") in "\n".join(caught.value.problems)
    assert "line 2" in "\n".join(caught.value.problems)


def test_what_has_no_answer_at_all_and_a_missing_wording_are_refused(
    tmp_path: Path, model_folders: Any, cache_folder: str
) -> None:
    none = [{**row, "wrong": []} for row in ROWS]
    config = replace(CONFIG, path=write("jsonl", tmp_path, none))
    with pytest.raises(ConfigurationError, match="a: column 'wrong' holds no answer in any row; leave `wrong_answers`"):
        CorpusDataModule([], [config], cache_folder=cache_folder).prepare(Evaluation(model_folders("gpt2")))
    gap = [ROWS[0], {**ROWS[1], "other": None}]
    with pytest.raises(ConfigurationError, match="column 'other' is missing or empty in 1 rows, first in row 2"):
        expand([replace(CONFIG, path=write("json", tmp_path, gap))], tmp_path / "cache")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": None, "target": None}, "`wrong_answers` are answers to a prompt; give `prompt` and `target` too"),
        ({"wrong_answers": "a"}, "`wrong_answers` is column 'a', as the prompt or the target"),
        ({"wrong_answers": None}, "`paraphrased_answer` is held against wrong answers; give `wrong_answers` too"),
        ({"transform": "toxigen"}, "transform 'toxigen' makes rows of its own; leave `wrong_answers` out"),
    ],
)
def test_settings_that_do_not_go_together(fields: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in replace(CONFIG, path="a.jsonl", **fields).problems("test_sets[0]"))
