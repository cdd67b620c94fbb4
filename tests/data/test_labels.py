"""Texts and words with classes, from every kind of file, to token ids and class ids."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from lightning_untrac.data import DatasetConfig
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.labels import for_task
from lightning_untrac.data.sources import expand
from lightning_untrac.data.tokenization import tokenize
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tasks import LANGUAGE, Task

TEXTS = Task("sequence_classification", ("bad", "good"))
WORDS = Task("token_classification", ("O", "B", "I"))


@pytest.fixture
def read(tmp_path, byte_tokenizer):
    def run(path, task=TEXTS, tokenizer=byte_tokenizer, max_length=None, **fields):
        config = for_task(DatasetConfig(path=str(path), name="mine", **fields), task)
        [(entry, rows)] = expand([config], tmp_path / "cache")
        return tokenize(
            entry, rows, tokenizer, TokenizationConfig(task=task, max_length=max_length), tmp_path / "cache"
        )

    return run


def write(path, rows):
    if path.suffix == ".csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    elif path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(str(path))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("labels", [(1, 0), ("good", "bad")])
def test_names_and_numbers_are_the_same_classes_in_every_file(tmp_path, read, byte_tokenizer, ending, labels):
    rows = [{"text": "a b", "label": labels[0]}, {"text": "cd", "label": labels[1]}]
    data = read(write(tmp_path / f"rows.{ending}", rows))
    assert [row["labels"].tolist() for row in (data[0], data[1])] == [[1], [0]]
    assert data[0]["input_ids"].tolist() == byte_tokenizer("a b")["input_ids"]
    assert data.target_counts().tolist() == [1, 1]


def test_class_labels_of_a_dataset_are_names(tmp_path, read):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["good", "bad"])})  # another order
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    rows.save_to_disk(str(tmp_path / "saved"))
    data = read(tmp_path / "saved")
    assert [data[i]["labels"].tolist() for i in range(2)] == [[1], [0]]


def test_texts_are_cut_as_the_tokenizer_cuts(tmp_path, read, byte_tokenizer):
    data = read(write(tmp_path / "a.jsonl", [{"text": "abcdef", "label": 0}, {"text": "ab", "label": 1}]), max_length=4)
    assert data[0]["input_ids"].tolist() == byte_tokenizer("abcdef", truncation=True, max_length=4)["input_ids"]
    assert (data.num_truncated, data.longest) == (1, 7)


def test_the_first_piece_of_a_word_has_its_class(tmp_path, read, bpe_tokenizer, byte_tokenizer):
    path = write(tmp_path / "w.jsonl", [{"tokens": ["the", "bakery", "began"], "tags": ["O", "B", "I"]}])
    data = read(path, WORDS, bpe_tokenizer)
    ids, labels = data[0]["input_ids"], data[0]["labels"]
    assert len(ids) == len(labels)
    assert labels[labels != -100].tolist() == [0, 1, 2]
    starts = [len(bpe_tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ("", "the", "the bakery")]
    assert np.flatnonzero(labels != -100).tolist() == starts
    slow = read(path, WORDS, byte_tokenizer)[0]
    assert slow["input_ids"].tolist() == byte_tokenizer("the bakery began")["input_ids"]
    assert np.flatnonzero(slow["labels"] != -100).tolist() == [0, 3, 10]


def test_words_with_class_numbers_and_some_without(tmp_path, read):
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=["O", "B", "I"]))})
    rows = Dataset.from_dict({"tokens": [["a", "b"], ["c"]], "tags": [[0, 2], [1]]}, features=features)
    rows.save_to_disk(str(tmp_path / "saved"))
    assert read(tmp_path / "saved", WORDS)[0]["labels"].tolist()[0] == 0
    path = write(tmp_path / "n.jsonl", [{"tokens": ["a", "b"], "tags": [-100, 2]}, {"tokens": ["a"], "tags": [-100]}])
    data = read(path, WORDS)
    assert len(data) == 1  # the other has nothing to predict
    assert data.target_counts().tolist() == [1]


def test_other_numbers_of_words_and_classes(tmp_path, read):
    path = write(tmp_path / "n.jsonl", [{"tokens": ["a", "b"], "tags": ["O"]}])
    with pytest.raises(ConfigurationError, match="first row 1: 2 and 1"):
        read(path, WORDS)


@pytest.mark.parametrize(
    ("task", "fields", "said"),
    [
        (LANGUAGE, {"label": "label"}, "the model is a language model"),
        (TEXTS, {"tokens": "a", "tags": "b"}, "has a class for each token"),
        (WORDS, {"label": "a"}, "has a class for each text"),
        (TEXTS, {"prompt": "a", "target": "b"}, "the model is a classifier"),
    ],
)
def test_columns_of_another_task(task, fields, said):
    with pytest.raises(ConfigurationError, match=said):
        for_task(DatasetConfig("a.csv", "a", **fields), task)


def test_languages_cache_is_what_it_was():
    assert TokenizationConfig().identity() == {
        "seq2seq": False, "max_length": None, "append_eos": False, "document_start": None
    }  # fmt: skip
