"""One seed must not sound sure: its steps tell how far another order of batches would move it, or a sentence hedges."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lightning_untrac.attribution  # noqa: F401  (which of its methods' steps tell the noise)
from lightning_untrac.results import influence_intervals, influence_matrix, verdicts
from lightning_untrac.results.chance import chance_title
from lightning_untrac.results.doubts import doubts
from lightning_untrac.results.narrative import answers
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.stretches import levels_of
from lightning_untrac.tables import InfluenceRow

TRUTH = np.array([0.2, 0.19, 0.0, -0.05])
PARTS = {"part_losses_before": [2.0] * 64, "part_weights": [1.0] * 64}


def one_seed(rng: np.random.Generator, method: str = "continuation", noise: float = 0.01) -> list[InfluenceRow]:
    """A seed whose influences grow along 20 steps, read after each 5, with noise that half fades between readings."""
    rows, kept = [], np.zeros(len(TRUTH))
    for step in (5, 10, 15, 20):
        kept = 0.5 * kept + rng.normal(0, noise, len(TRUTH))
        for k, influence in enumerate(TRUTH * (step / 20) ** 0.7 + kept):
            parts = {**PARTS, "part_losses_after": [2.0 + influence] * 64} if step == 20 else {}
            rows.append(
                InfluenceRow(
                    method=method,
                    corpus=f"corpus {k}",
                    test_set="test",
                    seed=0,
                    step=step,
                    final=step == 20,
                    influence=float(influence),
                    **parts,  # type: ignore[arg-type]
                )
            )
    return rows


def test_intervals_of_one_seed_hold_the_influence_over_orders_of_batches() -> None:
    rng, trials = np.random.default_rng(0), 200
    held, sure = 0, 0
    for _ in range(trials):
        intervals = influence_intervals(one_seed(rng), "continuation", num_resamples=50)
        assert intervals is not None
        assert (intervals.from_examples, intervals.from_seeds, intervals.from_steps) == (True, False, True)
        held += int(((intervals.low[:, 0] <= TRUTH) & (intervals.high[:, 0] >= TRUTH)).sum())
        sure += intervals.leaders("test")[1:] == []
    assert held / (trials * len(TRUTH)) > 0.95
    assert sure / trials < 0.05  # the first two differ by less than the noise


def test_a_clear_first_is_still_told() -> None:
    intervals = influence_intervals(one_seed(np.random.default_rng(0), noise=0.0005), "continuation")
    assert intervals is not None
    assert "`corpus 0` is ahead of all others" in plain(verdicts(intervals)[0])
    assert "as one seed's steps tell it" in chance_title(intervals)
    said = [plain(sentence) for _, sentence in doubts([intervals.matrix], intervals={"continuation": intervals})]
    assert any("told from the steps of one seed" in sentence for sentence in said)
    assert not any(sentence.startswith("One seed only") for sentence in said)


def test_where_steps_tell_nothing_one_seed_hedges() -> None:
    """Unlearning does not grow at one pace, retraining is read once, and two corpora leave nothing to judge by."""
    quiet = one_seed(np.random.default_rng(0), noise=0.0005)
    unlearned = [dataclasses.replace(row, method="untrac") for row in quiet]
    read_once = [row for row in quiet if row.final]
    two = [row for row in quiet if row.corpus in ("corpus 0", "corpus 2")]
    for method, rows in (("untrac", unlearned), ("continuation", read_once), ("continuation", two)):
        intervals = influence_intervals(rows, method)
        assert intervals is not None
        assert (intervals.from_steps, intervals.order_unknown) == (False, True)
        (said,) = (plain(sentence) for sentence in verdicts(intervals))
        assert "leads under the one seed that was run" in said
        assert "ahead of all others" not in said
        (answer,) = answers(influence_matrix(rows, method), None, (), intervals)
        assert plain(answer).endswith("One seed: another order of batches may say otherwise.")


def test_a_score_without_steps_needs_no_hedge() -> None:
    rows = [dataclasses.replace(row, step=0) for row in one_seed(np.random.default_rng(0)) if row.final]
    intervals = influence_intervals(rows, "continuation")
    assert intervals is not None
    assert not intervals.order_unknown


def test_stretches_are_quarters_where_they_were_read_and_halves_elsewhere() -> None:
    path = {step: step / 20 for step in (2, 5, 8, 10, 12, 15, 18, 20)}
    assert levels_of([path] * 3).tolist()[0] == [0.25, 0.5, 0.75, 1.0]  # type: ignore[union-attr]
    assert levels_of([{10: 0.5, 20: 1.0}] * 3).shape == (3, 2)  # type: ignore[union-attr]
    assert levels_of([{20: 1.0}] * 3) is None
    assert levels_of([{18: 0.9, 20: 1.0}] * 3) is None
    assert levels_of([{10: 0.5, 20: 1.0}, {10: 0.5, 20: 1.0}, {10: 0.5, 16: 1.0}]) is None
    assert levels_of([path, path, {}]) is None


@pytest.mark.parametrize("seeds", [2, 3])
def test_several_seeds_take_the_place_of_the_steps(seeds: int) -> None:
    rng = np.random.default_rng(0)
    rows = [dataclasses.replace(row, seed=seed) for seed in range(seeds) for row in one_seed(rng)]
    intervals = influence_intervals(rows, "continuation")
    assert intervals is not None
    assert (intervals.from_seeds, intervals.from_steps, intervals.order_unknown) == (True, False, False)
