from itertools import chain

import numpy as np
import pytest
import torch

from lightning_untrac.data import Collator
from lightning_untrac.data.loading import Concatenation, EpisodeDataLoader
from lightning_untrac.data.sampling import FILLER, EpisodeBatchSampler


class Part:
    """Examples whose only token says where they come from."""

    def __init__(self, name, size, first):
        self.name, self.size, self.first = name, size, first

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        assert 0 <= index < self.size
        ids = np.full(index % 3 + 1, self.first + index, dtype=np.int32)
        return {"input_ids": ids, "labels": ids}

    def lengths(self):
        return np.arange(self.size) % 3 + 1


@pytest.fixture
def parts():
    return [Part("a", 4, 100), Part("b", 1, 200), Part("c", 6, 300)]


def make_loader(parts, **options):
    data = Concatenation(parts)
    sampler = EpisodeBatchSampler([len(part) for part in parts], **{"batch_size": 2, **options})
    return EpisodeDataLoader(data, batch_sampler=sampler, collate_fn=Collator(0))


def seen(batches):
    return [batch["input_ids"][:, 0].tolist() for batch in batches]


def test_rows_say_where_they_come_from(parts):
    data = Concatenation(parts)
    assert len(data) == 11
    rows = [data[i] for i in range(len(data))]
    assert [(row["dataset_index"], row["example_index"]) for row in rows] == [
        (which, example) for which, part in enumerate(parts) for example in range(len(part))
    ]
    assert all(row["input_ids"][0] == (row["dataset_index"] + 1) * 100 + row["example_index"] for row in rows)
    assert data.lengths().tolist() == [len(row["input_ids"]) for row in rows]


def test_chosen_rows_keep_their_own_numbers(parts):
    chosen = [np.array([1, 3]), np.array([], dtype=np.int64), np.array([5])]
    data = Concatenation(parts, chosen)
    assert [(data[i]["dataset_index"], data[i]["example_index"]) for i in range(len(data))] == [(0, 1), (0, 3), (2, 5)]
    assert data.lengths().tolist() == [len(data[i]["input_ids"]) for i in range(3)]


def test_nothing_chosen_of_a_part_is_all_of_it(parts):
    data = Concatenation(parts, [None, None, np.array([5])])
    rows = [data[i] for i in range(len(data))]
    assert [(row["dataset_index"], row["example_index"]) for row in rows] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 0),
        (2, 5),
    ]
    assert data.lengths().tolist() == [len(row["input_ids"]) for row in rows]


def test_filler_counts_nowhere(parts):
    row = Concatenation(parts)[FILLER]
    assert (row["labels"] == -100).all()
    assert row["dataset_index"] == row["example_index"] == -1
    assert (parts[0][0]["labels"] != -100).all()


def test_nothing_to_go_through():
    assert len(Concatenation([])) == len(Concatenation([]).lengths()) == 0


@pytest.mark.parametrize("stop", range(7))
def test_a_new_loader_goes_on_where_the_saved_one_stopped(parts, stop):
    whole = seen(make_loader(parts))
    assert sorted(chain(*whole)) == sorted([100, 101, 102, 103, 200, *range(300, 306)])
    loader = make_loader(parts)
    iterator = iter(loader)
    before = seen(next(iterator) for _ in range(stop))
    state = loader.state_dict()
    resumed = make_loader(parts)
    resumed.load_state_dict(state)
    after = seen(resumed)
    assert before + (after if stop < 6 else []) == whole
    assert resumed.state_dict() == {"served_batches": 0}  # at the end: the next is a new episode
    assert seen(resumed) == whole


def test_a_resumed_loader_can_be_saved_again(parts):
    loader = make_loader(parts)
    loader.load_state_dict({"served_batches": 2})
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict() == {"served_batches": 3}


def test_the_state_is_plain_and_survives_a_checkpoint(parts, tmp_path):
    torch.save(make_loader(parts).state_dict(), tmp_path / "state")
    assert torch.load(tmp_path / "state", weights_only=True) == {"served_batches": 0}


def test_workers_change_nothing(parts):
    data = Concatenation(parts)
    sampler = EpisodeBatchSampler([4, 1, 6], batch_size=2)
    loader = EpisodeDataLoader(
        data, batch_sampler=sampler, collate_fn=Collator(0), num_workers=1, multiprocessing_context="fork"
    )
    assert seen(loader) == seen(make_loader(parts))
