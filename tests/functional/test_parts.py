from __future__ import annotations

import pytest
import torch

from lightning_untrac.functional import NUM_PARTS, part_of

MASK = (1 << 64) - 1


def splitmix(index: int) -> int:
    """SplitMix64 as its authors print it, in whole numbers."""
    z = (index + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def test_it_is_splitmix() -> None:
    index = torch.tensor([0, 1, 63, 10**6, 2**40])
    assert part_of(index).tolist() == [splitmix(i) % NUM_PARTS for i in index.tolist()]


@pytest.mark.parametrize("period", [1, 2, 64])
def test_parts_are_about_equally_large_whatever_the_period(period: int) -> None:
    counts = torch.bincount(part_of(torch.arange(0, 6400 * period, period)), minlength=NUM_PARTS)
    # 100 expected; a binomial deviates by more than 5 sigma in one of two million draws
    assert counts.min() > 50
    assert counts.max() < 150


def test_a_number_of_parts_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="power of two"):
        part_of(torch.arange(3), num_parts=6)
