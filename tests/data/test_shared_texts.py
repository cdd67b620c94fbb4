import json

import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig


@pytest.fixture
def notes(tmp_path, facts):
    def of(corpora, test_sets, **options):
        def config(name, texts):
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
            return DatasetConfig(str(path), name=name)

        data = CorpusDataModule(
            [config(*item) for item in corpora.items()],
            [config(*item) for item in test_sets.items()],
            cache_folder=str(tmp_path / "cache"),
            **options,
        )
        data.prepare(facts)
        return data.notes()

    return of


def numbers(begin, end):
    return [f"number {i}" for i in range(begin, end)]


def test_corpora_that_are_the_same(notes):
    (note,) = notes({"a": numbers(0, 20), "b": [*numbers(0, 20)[::-1], "number 3"]}, {"t": numbers(50, 60)})
    assert note.startswith("corpora a and b hold the same 20 texts: unlearning one unlearns the other")


@pytest.mark.parametrize(("begin", "told"), [(18, True), (19, False), (20, False)])
def test_from_a_tenth_of_the_smaller_ones_texts_on(notes, begin, told):
    found = notes({"a": numbers(0, 20), "b": numbers(begin, begin + 20)}, {})
    assert bool(found) is told
    if told:
        assert found[0].startswith("corpora a and b share 2 texts (10% of a's, 10% of b's): ")


def test_test_sets_and_corpora(notes):
    found = notes({"a": numbers(0, 20), "b": numbers(30, 60)}, {"same": numbers(0, 20), "part": numbers(57, 67)})
    assert [note.partition(":")[0] for note in found] == [
        "test set same and corpus a hold the same 20 texts",
        "test set part has 3 of its 10 texts in common with corpus b",
    ]
    assert "shows what was memorised" in found[0]


def test_what_was_made_of_the_corpora_on_purpose_is_no_news(notes):
    assert notes({"a": numbers(0, 20), "b": numbers(20, 40)}, {}, self_examples=5) == []


def test_many_pairs_are_counted(notes):
    found = notes({f"c{i}": numbers(0, 5) for i in range(6)}, {})
    assert len(found) == 11
    assert found[-1] == "5 more pairs of datasets share at least a tenth of the smaller one's texts"
