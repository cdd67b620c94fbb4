"""Where a model goes on from in an example."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.data.openings import opening_of

IDS = np.arange(10, 20)


@pytest.mark.parametrize(("prefix", "given"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_of_a_text_it_is_the_start_and_some_targets(prefix: int, given: int) -> None:
    # Nine targets: the first token is none, as nothing stands before it.
    assert opening_of(IDS, IDS, prefix, False) == IDS[: 1 + given].tolist()


def test_a_prompt_is_given_whole_and_nothing_of_the_answer() -> None:
    labels = np.where(np.arange(10) < 6, -100, IDS)
    assert opening_of(IDS, labels, 2, False) == IDS[:6].tolist()
    assert opening_of(IDS, labels[6:], 2, True) == IDS.tolist()


def test_a_text_of_one_target_is_not_given_whole_and_one_without_has_no_opening() -> None:
    assert opening_of(IDS[:2], IDS[:2], 5, False) == [10]
    assert opening_of(IDS[:1], IDS[:1], 5, False) == []
    assert opening_of(IDS, np.full(10, -100), 5, False) == []
    assert opening_of(IDS[:0], IDS, 5, True) == []
