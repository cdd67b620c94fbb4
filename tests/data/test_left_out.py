"""Batches of a mixture without one of its datasets."""

from __future__ import annotations

from itertools import chain

import pytest

from lightning_untrac.data.sampling import FILLER, EpisodeBatchSampler

SIZES = [20, 11, 5]
FIRST, SECOND = range(20), range(20, 31)


def steps_of(batches: list[list[int]], accumulation: int = 1) -> list[list[int]]:
    return [
        [i for i in chain(*batches[start : start + accumulation]) if i != FILLER]
        for start in range(0, len(batches), accumulation)
    ]


@pytest.mark.parametrize("options", [{}, {"steps": 11}, {"shares": [3, 1, 2], "passes": 2}, {"seed": 9}])
def test_the_rest_of_every_batch_stays_what_it_is(options: dict[str, int]) -> None:
    whole = list(EpisodeBatchSampler(SIZES, batch_size=12, **options))  # type: ignore[arg-type]
    without = list(EpisodeBatchSampler(SIZES, batch_size=12, left_out=[1], **options))  # type: ignore[arg-type]
    assert without == [[i for i in batch if i not in SECOND] for batch in whole]
    assert without != whole


@pytest.mark.parametrize(("accumulation", "ranks"), [(2, 1), (1, 3), (2, 3), (12, 1)])
def test_it_is_the_same_however_a_batch_is_cut(accumulation: int, ranks: int) -> None:
    whole = steps_of(list(EpisodeBatchSampler(SIZES, batch_size=12, left_out=[0], steps=9)))
    parts = [
        list(
            EpisodeBatchSampler(
                SIZES,
                batch_size=12 // (accumulation * ranks),
                accumulation=accumulation,
                rank=rank,
                num_replicas=ranks,
                left_out=[0],
                steps=9,
            )
        )
        for rank in range(ranks)
    ]
    assert len({len(part) for part in parts}) == 1
    steps = [steps_of(part, accumulation) for part in parts]
    assert [sorted(chain(*of_ranks)) for of_ranks in zip(*steps, strict=True)] == [sorted(step) for step in whole]


def test_a_batch_without_a_rest_is_filled_with_others() -> None:
    batches = list(EpisodeBatchSampler(SIZES, batch_size=1, left_out=[0], steps=30))
    assert len(batches) == 30
    assert all(len(batch) == 1 and batch[0] not in FIRST for batch in batches)
    assert batches == list(EpisodeBatchSampler(SIZES, batch_size=1, left_out=[0], steps=30))


def test_nothing_left_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 0 examples"):
        EpisodeBatchSampler([3], batch_size=1, left_out=[0])
