import numpy as np
import pytest
import torch

from lightning_untrac.data import Collator


def row(input_ids, labels=None, index=(0, 0)):
    labels = input_ids if labels is None else labels
    arrays = {"input_ids": np.array(input_ids, np.int32), "labels": np.array(labels, np.int32)}
    return {**arrays, "dataset_index": index[0], "example_index": index[1]}


def test_rows_come_back_out_of_the_padding():
    generator = np.random.default_rng(0)
    rows = [row(generator.integers(1, 99, n), generator.integers(1, 99, n), (n, n + 1)) for n in (3, 1, 7, 7, 2)]
    batch = Collator(pad_token=0)(rows)
    for index, original in enumerate(rows):
        length = len(original["input_ids"])
        assert batch["input_ids"][index, :length].tolist() == original["input_ids"].tolist()
        assert batch["labels"][index, :length].tolist() == original["labels"].tolist()
        assert (batch["input_ids"][index, length:] == 0).all()
        assert (batch["labels"][index, length:] == -100).all()
        assert batch["attention_mask"][index].tolist() == [1] * length + [0] * (7 - length)
    assert batch["dataset_index"].tolist() == [3, 1, 7, 7, 2]
    assert batch["example_index"].tolist() == [4, 2, 8, 8, 3]
    assert batch.pop("has_targets") is True
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_no_mask_where_nothing_is_padded():
    assert "attention_mask" not in Collator(0)([row([1, 2]), row([3, 4])])


def test_a_pad_token_inside_the_text_is_not_masked():
    batch = Collator(pad_token=5)([row([5, 6, 5]), row([7])])
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_source_and_target_have_lengths_of_their_own():
    batch = Collator(0)([row([1, 2, 3], [9]), row([4], [8, 7])])
    assert batch["input_ids"].shape == (2, 3)
    assert batch["labels"].tolist() == [[9, -100], [8, 7]]


@pytest.mark.parametrize("others", [[], [[1, 2]]])
def test_an_empty_source_is_one_masked_token(others):
    batch = Collator(0)([row([], [9]), *[row(ids, [8]) for ids in others]])
    assert batch["attention_mask"][0].sum() == 0
    assert batch["input_ids"].shape[1] >= 1


def test_rows_are_copied():
    original = row([1, 2])
    original["input_ids"].flags.writeable = False
    batch = Collator(0)([original])
    batch["input_ids"][0, 0] = 99
    assert original["input_ids"][0] == 1
