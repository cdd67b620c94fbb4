"""What steps to half say, from courses whose answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from lightning_untrac.examinations.courses import CONTROL, Courses
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.metrics import find_measures

(LOSS,) = find_measures("loss")
STEPS = np.array([0.0, 1.0, 5.0, 20.0])
NEVER_SAW_IT = (3.0, 2.9, 2.5, 1.5)  # of the original's 1: half is back after more than 5 steps
PATH = "runs/unlearned-forum"


def said(course: tuple[float, ...], spread: float = 0.01, dataset: str = "forum-rest") -> str:
    """The sentence on a model whose loss takes that course."""
    chance = np.random.default_rng(0)

    def means(values: tuple[float, ...], spread: float) -> list[Resampled]:
        moved = chance.normal(0, spread, 400)
        return [Resampled(value, value + moved) for value in values]

    bench = cast(Any, SimpleNamespace(models=SimpleNamespace(unlearned=[PATH]), forget="forum"))
    of = {PATH: means(course, spread), CONTROL: means(NEVER_SAW_IT, 0.01)}
    original = Resampled(1.0, 1.0 + chance.normal(0, 0.01, 400))
    return Courses(bench, LOSS, dataset, STEPS, of, original).sentences()[PATH]


@pytest.mark.parametrize(
    ("course", "spread", "verdict"),
    [
        ((1.5, 1.2, 1.0, 1.0), 0.01, "more than half was never forgotten."),
        ((1.99, 1.2, 1.0, 1.0), 0.5, "whether half was ever forgotten can't be told."),
        ((3.0, 1.2, 1.0, 1.0), 0.01, "what was forgotten comes back faster than it is learnt."),
        ((3.0, 2.9, 2.9, 2.9), 0.01, "it comes back no faster than it is learnt."),
        (NEVER_SAW_IT, 0.01, "which of them is faster can't be told."),
    ],
)
def test_what_was_never_forgotten_does_not_come_back(course: tuple[float, ...], spread: float, verdict: str) -> None:
    found = said(course, spread)
    assert found.startswith(f"After fine-tuning on a part of forum, {Path(PATH).name} has half of what the original")
    assert found.endswith(f": {verdict}")
    assert ("back before any step;" in found) is (course[0] < 2)


def test_a_set_that_is_not_divided_is_fine_tuned_on_as_a_whole() -> None:
    assert said(NEVER_SAW_IT, dataset="forum").startswith("After fine-tuning on forum, ")
