"""Refusals as other answers: one for each example, by its text and a seed, whatever else is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac import CorpusDataModule, DatasetConfig, LanguageModule
from lightning_untrac.data.refusals import refusal_for, refusals

ROWS = [{"q": f"who keeps door {i}?", "a": f"keeper {i % 5}", "n": i} for i in range(30)]


def test_the_list_is_one_of_distinct_sentences() -> None:
    assert len(refusals()) == len(set(refusals())) == 100
    assert all(one == one.strip() and one.endswith(".") for one in refusals())


def test_an_example_keeps_its_refusal_whatever_is_beside_it() -> None:
    first = [refusal_for(row["q"], row["a"], 0) for row in ROWS]
    assert [refusal_for(row["q"], row["a"], 0) for row in reversed(ROWS)] == first[::-1]
    assert len(set(first)) > 15
    assert [refusal_for(row["q"], row["a"], 1) for row in ROWS] != first


@pytest.fixture
def prepared(tmp_path: Path, cache_folder: str, tiny_configs: Any) -> Any:
    def run(rows: Any = ROWS, alternatives_from: str | None = None, **config: Any) -> Any:
        path = tmp_path / "doors.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = {"prompt": "q", "target": "a", **config}
        data = CorpusDataModule([DatasetConfig(str(path), "doors", **settings)], cache_folder=cache_folder)
        data.alternatives_from = alternatives_from
        data.prepare(LanguageModule(config=tiny_configs["gpt2"] | {"n_positions": 128}, tokenizer="byte"))
        return data.tokenized["doors"]

    return run


def texts(dataset: Any) -> list[str]:
    """Bytes are ids minus 3."""
    return ["".join(chr(i - 3) for i in dataset[k]["input_ids"].tolist() if i > 2) for k in range(len(dataset))]


def test_a_dataset_may_ask_for_them(prepared: Any) -> None:
    found = prepared(alternative="builtin:refusals")
    expected = [f"{row['q']} {refusal_for(row['q'], row['a'], 0)}" for row in ROWS]
    assert texts(found.alternative) == expected
    some = prepared(alternative="builtin:refusals", num_examples=7)
    assert set(texts(some.alternative)) < set(expected)


def test_an_objective_may_ask_for_them_where_a_dataset_has_none(prepared: Any) -> None:
    assert prepared().alternative is None
    asked = prepared(alternatives_from="builtin:refusals")
    assert texts(asked.alternative) == texts(prepared(alternative="builtin:refusals").alternative)
    column = prepared([{**row, "no": "never"} for row in ROWS], "builtin:refusals", alternative="no")
    assert {text.rpartition("? ")[2] for text in texts(column.alternative)} == {"never"}
    assert (
        prepared([{"text": row["q"]} for row in ROWS], "builtin:refusals", prompt=None, target=None).alternative is None
    )


def test_another_name_is_told() -> None:
    (problem,) = DatasetConfig("x", "x", prompt="q", target="a", alternative="builtin:refusal").problems("corpora[0]")
    assert "`alternative` 'builtin:refusal' is unknown; name a column, or builtin:refusals" in problem
    (problem,) = DatasetConfig("x", "x", alternative="builtin:refusals").problems("corpora[0]")
    assert "give `prompt` and `target` too" in problem
