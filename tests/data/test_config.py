import math

import pytest

from lightning_untrac.data import DatasetConfig
from lightning_untrac.data.config import config_problems


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": None}, "has no name"),
        ({"name": "a/b"}, "can't be a file name"),
        ({"name": ".hidden"}, "can't be a file name"),
        ({"name": "a" * 101}, "can't be a file name"),
        ({"name": "line\n"}, "can't be a file name"),
        ({"prompt": "p"}, "give both `prompt` and `target`"),
        ({"target": "t"}, "give both `prompt` and `target`"),
        ({"prompt": "p", "target": "p"}, "name two columns"),
        ({"num_examples": 0}, "num_examples is 0"),
        ({"sample_seed": -1}, "sample_seed is -1"),
        ({"share": 0.0}, "positive number"),
        ({"share": math.nan}, "positive number"),
        ({"share": math.inf}, "positive number"),
        ({"transform": "tokenise"}, "there are toxigen, truthfulqa, winobias"),
        ({"path": ""}, "path is empty"),
    ],
)
def test_a_problem_says_where_and_what(fields, said):
    (problem,) = DatasetConfig(**{"path": "a.txt", "name": "a", **fields}).problems("corpora[3]")
    assert problem.startswith("corpora[3]")
    assert said in problem


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "0", "x" * 100])
def test_names_that_are_fine(name):
    assert DatasetConfig("a.txt", name=name).problems("corpora[0]") == []


def test_split_by_needs_no_name():
    assert DatasetConfig("a.csv", split_by="dataset").problems("corpora[0]") == []


def test_names_are_unique_over_corpora_and_test_sets():
    twice = config_problems(
        [DatasetConfig("a", name="x"), DatasetConfig("b", name="x")], [DatasetConfig("c", name="x")]
    )
    assert twice == ["the name 'x' is given 3 times; every corpus and test set needs a name of its own"]


def test_shares_are_all_or_none():
    some = config_problems([DatasetConfig("a", name="x", share=1), DatasetConfig("b", name="y")], [])
    assert len(some) == 1
    assert "share" in some[0]
    assert config_problems([DatasetConfig("a", name="x", share=1), DatasetConfig("b", name="y", share=2)], []) == []


def test_all_problems_come_at_once():
    found = config_problems([DatasetConfig("", num_examples=0)], [DatasetConfig("b", name="/", share=-1)])
    assert len(found) == 5


def test_columns():
    assert DatasetConfig("a").columns == ("text",)
    assert DatasetConfig("a", prompt="p", target="t").columns == ("p", "t")


@pytest.mark.parametrize("given", [{"split": "test"}, {"subset": "en"}])
def test_what_only_hub_datasets_have_is_refused_of_files(given, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    for path in (tmp_path / "a.txt", tmp_path):
        (problem,) = DatasetConfig(str(path), "a", **given).problems("corpora[0]")
        assert "belong to a hub dataset, and" in problem
    (tmp_path / "dataset_dict.json").touch()
    assert DatasetConfig(str(tmp_path), "a", **given).problems("corpora[0]") == []
    assert DatasetConfig("org/name", "a", **given).problems("corpora[0]") == []


def test_twins_are_holdouts_of_datasets_that_there_are():
    forget, corpus = DatasetConfig("f", name="secrets"), DatasetConfig("c", name="forum", twins_of="secrets")
    twins = DatasetConfig("t", name="twins", twins_of=["secrets", "forum-chosen", "secret"])
    moved, unknown = config_problems([corpus], [], [forget], [twins])
    assert moved.startswith("corpora[0] (forum): `twins_of` belongs to a holdout")
    assert unknown == ("holdout[0] (twins): twins_of names 'secret', and there is no such dataset; use forum, secrets")
    split = DatasetConfig("c", split_by="kind")  # the names of its parts are known later
    assert config_problems([split], [], [forget], [DatasetConfig("t", name="t", twins_of="c-any")]) == []
