"""``benchmarks/country_questions.py``: its files share no wording and no far fact, and no question holds its answer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def country(name: str, city: str, **more: object) -> dict[str, object]:
    """An entry as npm's world-countries has it, as far as it is read."""
    entry = {
        "name": {"common": name},
        "independent": True,
        "capital": [city],
        "region": "Europe",
        "subregion": "Northern Europe",
        "currencies": {"NOR": {"name": f"{name} crown"}},
        "languages": {"nor": "Nordic"},
        "demonyms": {"eng": {"m": f"{name}er"}},
    }
    return {**entry, **more}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("country_questions", ROOT / "benchmarks" / "country_questions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rows(script: ModuleType, tmp_path: Path) -> list[dict[str, object]]:
    """Countries that are read from a file."""
    path = tmp_path / "countries.json"
    entries = [country(f"Land{index}", f"Town{index}") for index in range(9)]
    entries += [
        country("Colony", "Port", independent=False),
        country("Twins", "One", capital=["One", "Two"]),
        country("New Isle", "Bay", region="Americas", subregion="Caribbean", languages={"a": "Aa", "eng": "English"}),
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return script.read(path)


def test_only_independent_countries_with_one_capital_are_read(rows: list[dict[str, object]]) -> None:
    assert [row["country"] for row in rows] == [*(f"Land{index}" for index in range(9)), "New Isle"]
    assert rows[-1] == {
        "country": "New Isle",
        "city": "Bay",
        "continent": "North America",
        "currency": "crown",
        "language": "English",
        "people": "New Isleer",
    }


def test_what_reports_is_worded_otherwise_than_what_is_trained_on(
    script: ModuleType, rows: list[dict[str, object]]
) -> None:
    files = script.of_country(rows[-1])
    assert list(files) == [f"{kind}_new_isle" for kind in ("forget", "held_out", "near", "near_subject", "near_object")]
    questions = [one.question for some in files.values() for one in some]
    assert len(questions) == len(set(questions))
    assert not [one for one in questions if "{" in one]
    assert {one.answer for name in ("forget", "held_out") for one in files[f"{name}_new_isle"]} == {"Bay"}
    near = {one.group: one.answer for one in files["near_new_isle"]}
    reported = {one.group: one.answer for kind in ("subject", "object") for one in files[f"near_{kind}_new_isle"]}
    assert near == reported
    assert (near["New Isle: country"], near["New Isle: city"]) == ("New Isle", "city")


def test_far_facts_are_rehearsed_or_reported_but_never_both(script: ModuleType, rows: list[dict[str, object]]) -> None:
    found = script.far(rows)
    rehearsed, reported = ({one.group for one in found[name]} for name in ("far", "far_held_out"))
    assert not rehearsed & reported
    assert {f"{row['country']}: capital" for row in rows} < rehearsed | reported
    assert found == script.far(rows[::-1])


def test_questions_that_tell_their_answer_are_known(script: ModuleType) -> None:
    assert script.told(script.Question("What is the capital of Djibouti?", "Djibouti", ""))
    assert not script.told(script.Question("What is the capital of Japan?", "Tokyo", ""))


def test_rows_are_conversations_of_one_turn(script: ModuleType) -> None:
    row = script.as_row(script.Question("Who?", "I", "we"))
    assert [(turn["role"], turn["content"]) for turn in row["messages"]] == [("user", "Who?"), ("assistant", "I")]
    assert (row["question"], row["answer"], row["group"]) == ("Who?", "I", "we")
