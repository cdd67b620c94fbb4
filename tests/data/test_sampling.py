import math
import tracemalloc
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from lightning_untrac.data.sampling import FILLER, EpisodeBatchSampler, evaluation_batches, examples_by_share


def effective_batches(sizes, effective, accumulation, num_replicas, **options):
    """What every optimizer step sees over micro-batches and ranks, and how many batches each rank had."""
    batch_size = effective // (accumulation * num_replicas)
    ranks = [
        list(EpisodeBatchSampler(sizes, batch_size=batch_size, accumulation=accumulation, rank=rank,
                                 num_replicas=num_replicas, **options))
        for rank in range(num_replicas)
    ]  # fmt: skip
    assert len({len(batches) for batches in ranks}) == 1
    assert all(0 < len(batch) <= batch_size for batches in ranks for batch in batches)
    steps = []
    for start in range(0, len(ranks[0]), accumulation):
        rows = [i for batches in ranks for batch in batches[start : start + accumulation] for i in batch]
        steps.append(sorted(i for i in rows if i != FILLER))
    return steps


@pytest.mark.parametrize("options", [{}, {"steps": 11}, {"passes": 2.5}, {"shares": [3, 1], "passes": 2}, {"seed": 9}])
@pytest.mark.parametrize(("accumulation", "num_replicas"), [(1, 1), (2, 1), (1, 2), (2, 3), (4, 3), (12, 1), (1, 12)])
def test_the_effective_batch_is_the_same_however_it_is_cut(options, accumulation, num_replicas):
    whole = effective_batches([20, 11], 12, 1, 1, **options)
    assert effective_batches([20, 11], 12, accumulation, num_replicas, **options) == whole


@pytest.mark.parametrize("total", [1, 2, 7, 12, 13, 31])
@pytest.mark.parametrize("passes", [1, 2, 3])
def test_a_pass_holds_every_example_once_and_no_batch_crosses_passes(total, passes):
    steps = effective_batches([total], 6, 1, 2, passes=passes)
    per_pass = math.ceil(total / 6)
    assert len(steps) == passes * per_pass
    for start in range(0, len(steps), per_pass):
        assert sorted(chain(*steps[start : start + per_pass])) == list(range(total))


@pytest.mark.parametrize(
    ("total", "passes", "batch_size", "steps"), [(10, 0.5, 2, 3), (10, 0.1, 1, 1), (30, 0.1, 1, 3), (10, 1.5, 4, 5)]
)
def test_fractions_of_a_pass(total, passes, batch_size, steps):
    assert len(EpisodeBatchSampler([total], batch_size=batch_size, passes=passes)) == steps


def test_steps_go_on_over_passes():
    batches = list(EpisodeBatchSampler([5], batch_size=2, steps=7))
    assert [len(batch) for batch in batches] == [2, 2, 1, 2, 2, 1, 2]
    assert batches[:3] != batches[3:6]


def test_the_length_is_what_comes():
    for options in ({"steps": 7}, {"passes": 1.3}, {"passes": 2}):
        sampler = EpisodeBatchSampler([9, 4], batch_size=2, accumulation=3, num_replicas=2, **options)
        assert len(list(sampler)) == len(sampler)
        assert len(sampler) % 3 == 0


def test_the_order_is_of_the_seed_alone():
    first = EpisodeBatchSampler([50], batch_size=4, seed=1)
    assert list(first) == list(first) == list(EpisodeBatchSampler([50], batch_size=4, seed=1))
    assert list(first) != list(EpisodeBatchSampler([50], batch_size=4, seed=2))


@pytest.mark.parametrize("options", [{"passes": 2}, {"steps": 8}, {"passes": 0.5}])
def test_epochs_of_the_mixture_have_orders_of_their_own(options):
    sampler = EpisodeBatchSampler([20], batch_size=4, follows_epochs=True, **options)
    orders = []
    for epoch in range(3):
        sampler.sampler.set_epoch(epoch)  # as Lightning does
        orders += [tuple(chain(*batch)) for batch in [list(sampler)]]
    passes = [order[i : i + 20] for order in orders for i in range(0, len(order), 20)]
    assert len(set(passes)) == len(passes)


def test_an_episode_does_not_follow_epochs():
    sampler = EpisodeBatchSampler([20], batch_size=4)
    before = list(sampler)
    sampler.sampler.set_epoch(5)
    assert list(sampler) == before


@pytest.mark.parametrize("start", [0, 1, 5, 9, 10, 99])
def test_it_goes_on_where_it_stopped(start):
    sampler = EpisodeBatchSampler([20], batch_size=2)
    whole = list(sampler)
    sampler.start_batch = start
    assert list(sampler) == whole[start:]
    assert list(sampler) == whole  # only the next iteration


def test_shares_count_and_nothing_comes_twice_before_all_came_once():
    sizes, shares = [10, 40, 50], [0.5, 0.3, 0.2]
    drawn = list(chain(*EpisodeBatchSampler(sizes, batch_size=7, shares=shares)))
    parts = [[i for i in drawn if low <= i < high] for low, high in ((0, 10), (10, 50), (50, 100))]
    assert [len(part) for part in parts] == [50, 30, 20]
    assert set(Counter(parts[0]).values()) == {5}
    assert set(Counter(parts[1] + parts[2]).values()) == {1}


@pytest.mark.parametrize("shares", [[1, 1, 2], [0.1, 0.2, 0.7], [1e-9, 1, 1], [5]])
@pytest.mark.parametrize("total", [1, 7, 1000])
def test_shares_add_up_and_are_within_one_example(shares, total):
    counts = examples_by_share(shares, total)
    assert sum(counts) == total
    exact = np.array(shares) / sum(shares) * total
    assert (np.abs(np.array(counts) - exact) < 1).all()


@pytest.mark.parametrize(
    "options", [{"sizes": []}, {"sizes": [0]}, {"sizes": [3], "steps": 0}, {"sizes": [3], "passes": 0}]
)
def test_no_examples_or_no_steps_is_an_error(options):
    with pytest.raises(ValueError, match="examples and"):
        EpisodeBatchSampler(**options, batch_size=1)


@pytest.mark.parametrize("total", [0, 1, 5, 16, 33])
@pytest.mark.parametrize("batch_size", [1, 4, 50])
@pytest.mark.parametrize("num_replicas", [1, 2, 5])
def test_evaluation_covers_every_example_exactly_once(total, batch_size, num_replicas):
    lengths = np.random.default_rng(total).integers(1, 30, total)
    ranks = [evaluation_batches(lengths, batch_size, rank, num_replicas) for rank in range(num_replicas)]
    assert len({len(batches) for batches in ranks}) == 1
    rows = [i for batches in ranks for batch in batches for i in batch]
    assert sorted(i for i in rows if i != FILLER) == list(range(total))
    assert all(batch == [FILLER] or FILLER not in batch for batches in ranks for batch in batches)
    assert all(len(batch) <= batch_size for batches in ranks for batch in batches)


def test_evaluation_begins_with_the_longest():
    lengths = [3, 9, 1, 7, 9]
    assert list(chain(*evaluation_batches(lengths, 2))) == [1, 4, 3, 0, 2]


@pytest.mark.parametrize("num_replicas", [1, 3])
def test_evaluation_batches_can_be_gone_through_again(num_replicas):
    batches = evaluation_batches(np.arange(20), 3, num_replicas - 1, num_replicas)
    assert list(batches) == list(batches)
    assert len(list(batches)) == len(batches)


def test_evaluation_batches_take_a_number_an_example_and_no_object():
    tracemalloc.start()
    batches = evaluation_batches(np.ones(200_000, dtype=np.int64), 4)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 16 * 200_000
    assert len(batches) == 50_000


@pytest.mark.parametrize(
    ("total", "batch_size", "least", "steps"), [(10, 4, 64, 10), (200, 4, 64, 64), (1000, 4, 64, 250), (10, 4, 1, 3)]
)
def test_a_pass_has_the_least_steps_unless_there_are_fewer_examples(total, batch_size, least, steps):
    sampler = EpisodeBatchSampler([total], batch_size=batch_size, least_steps=least)
    assert len(sampler) == steps
    assert len(list(sampler)) == steps
