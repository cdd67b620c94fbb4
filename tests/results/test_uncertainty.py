from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_untrac.functional import NUM_PARTS, part_of
from lightning_untrac.results import influence_intervals, verdicts
from lightning_untrac.results.chance import verdict
from lightning_untrac.results.sentence import plain
from lightning_untrac.tables import InfluenceRow

TRUTH = np.array([0.20, 0.05, 0.05, 0.0])


def simulated(
    rng: np.random.Generator, num_examples: int = 150, num_seeds: int = 3, parts: bool = True, truth: np.ndarray = TRUTH
) -> list[InfluenceRow]:
    """Readings of corpora with a known influence, on examples and with seeds that are drawn by chance."""
    part = part_of(torch.arange(num_examples)).numpy()
    tokens = rng.integers(5, 30, num_examples)
    of_examples = rng.normal(0, 0.2, num_examples) + rng.normal(0, 0.1, (len(truth), num_examples))
    of_seeds = rng.normal(0, 0.01, num_seeds) + rng.normal(0, 0.01, (len(truth), num_seeds))
    rows = []
    for k, influence in enumerate(truth):
        for s in range(num_seeds):
            rise = (influence + of_examples[k] + of_seeds[k, s]) * tokens
            before = 3.0 * tokens
            sums = [np.bincount(part, weights=w, minlength=NUM_PARTS).tolist() for w in (before, before + rise, tokens)]
            names = ("part_losses_before", "part_losses_after", "part_weights")
            rows.append(
                InfluenceRow(
                    method="untrac",
                    corpus=f"corpus {k}",
                    test_set="test",
                    seed=s,
                    step=4,
                    final=True,
                    influence=float(rise.sum() / tokens.sum()),
                    **(dict(zip(names, sums, strict=True)) if parts else {}),
                )
            )
    return rows


@pytest.mark.parametrize(("num_seeds", "parts"), [(3, True), (5, True)])
def test_ninety_five_percent_of_intervals_hold_the_truth(num_seeds: int, parts: bool) -> None:
    rng, trials = np.random.default_rng(0), 250
    held = 0
    for _ in range(trials):
        intervals = influence_intervals(simulated(rng, num_seeds=num_seeds, parts=parts), "untrac", num_resamples=500)
        assert intervals is not None
        held += int(((intervals.low[:, 0] <= TRUTH) & (intervals.high[:, 0] >= TRUTH)).sum())
    # 1000 intervals; those of a trial share their examples, so that they are worth about 250
    assert held / (trials * len(TRUTH)) == pytest.approx(0.95, abs=0.04)


def test_equal_corpora_are_rarely_told_apart_and_unlike_ones_always() -> None:
    rng, trials = np.random.default_rng(1), 200
    false, found = 0, 0
    for _ in range(trials):
        intervals = influence_intervals(simulated(rng), "untrac", num_resamples=500)
        assert intervals is not None
        false += "corpus 2" not in intervals.letters("test") or intervals.p_equal[0, 1, 2] <= 0.05
        found += intervals.leaders("test") == ["corpus 0"]
    assert false / trials < 0.08
    assert found / trials > 0.95


def test_one_seed_knows_the_examples_alone() -> None:
    intervals = influence_intervals(simulated(np.random.default_rng(0), num_seeds=1), "untrac")
    assert intervals is not None
    assert (intervals.from_examples, intervals.from_seeds) == (True, False)
    assert intervals.known.all()


def test_without_parts_seeds_alone() -> None:
    intervals = influence_intervals(simulated(np.random.default_rng(0), parts=False), "untrac")
    assert intervals is not None
    assert (intervals.from_examples, intervals.from_seeds) == (False, True)
    assert influence_intervals(simulated(np.random.default_rng(0), num_seeds=1, parts=False), "untrac") is None


def test_more_examples_narrow_an_interval_by_their_root() -> None:
    rng = np.random.default_rng(0)

    def width(num_examples: int) -> float:
        found = [influence_intervals(simulated(rng, num_examples, num_seeds=1), "untrac") for _ in range(20)]
        return float(np.mean([intervals.half_widths for intervals in found if intervals is not None]))

    assert width(200) / width(3200) == pytest.approx(4, rel=0.15)


def test_a_flagged_cell_has_no_interval_and_is_not_ranked() -> None:
    rows = simulated(np.random.default_rng(0), num_seeds=1)
    rows[0] = InfluenceRow(**{**rows[0].as_dict(), "status": "collapsed"})
    intervals = influence_intervals(rows, "untrac")
    assert intervals is not None
    assert not intervals.known[0, 0]
    assert "corpus 0" not in intervals.letters("test")


def test_verdicts_name_who_is_ahead_and_who_is_nothing() -> None:
    rng = np.random.default_rng(0)
    intervals = influence_intervals(simulated(rng, 2000, truth=np.array([0.3, 0.0])), "untrac")
    assert intervals is not None
    assert [plain(v) for v in verdicts(intervals)] == [
        "`test`: `corpus 0` is ahead of all others. Not distinguishable from no influence: `corpus 1`."
    ]
    intervals = influence_intervals(simulated(rng, 2000, truth=np.array([0.3, 0.3, 0.2])), "untrac")
    assert intervals is not None
    assert "cannot be told apart from" in plain(verdict(intervals, "test"))
    intervals = influence_intervals(simulated(rng, 60, truth=np.array([0.0, 0.001])), "untrac")
    assert intervals is not None
    assert "no corpus helps it by more than chance could" in plain(verdict(intervals, "test"))


def test_a_test_set_that_corpora_only_work_against_is_not_called_untouched() -> None:
    intervals = influence_intervals(simulated(np.random.default_rng(0), truth=np.array([0.001, -0.5, -0.7])), "untrac")
    assert intervals is not None
    assert plain(verdict(intervals, "test")) == (
        "`test`: no corpus helps it by more than chance could. "
        "Distinguishable from no influence, against it: `corpus 1` and `corpus 2`."
    )


def test_a_corpus_that_lacks_a_seed_is_judged_by_those_that_all_have() -> None:
    rows = [row for row in simulated(np.random.default_rng(0)) if (row.corpus, row.seed) != ("corpus 0", 2)]
    intervals = influence_intervals(rows, "untrac")
    assert intervals is not None
    assert intervals.known.all()
    assert intervals.leaders("test") == ["corpus 0"]


def test_where_a_corpus_has_no_number_no_other_is_called_the_first() -> None:
    rows = [
        InfluenceRow(**{**row.as_dict(), "status": "collapsed"}) if row.corpus == "corpus 1" else row
        for row in simulated(np.random.default_rng(0))
    ]
    intervals = influence_intervals(rows, "untrac")
    assert intervals is not None
    assert plain(verdict(intervals, "test")).startswith(
        "`test`: no verdict, because UnTrac made the model collapse for"
    )


def test_datasets_of_their_own_have_variances_of_their_own() -> None:
    """UnTrac-Inv reads the corpora: a tiny one must not widen the interval of a large one."""
    large = simulated(np.random.default_rng(0), 640, num_seeds=1, truth=np.array([0.1]))[0]
    tiny = simulated(np.random.default_rng(1), 4, num_seeds=1, truth=np.array([0.1]))[0]
    tiny = InfluenceRow(**{**tiny.as_dict(), "corpus": "tiny"})
    alone, beside = (influence_intervals(rows, "untrac") for rows in ([large], [large, tiny]))
    assert alone is not None
    assert beside is not None
    assert beside.half_widths[0, 0] == pytest.approx(alone.half_widths[0, 0])
    assert beside.half_widths[1, 0] > 2 * beside.half_widths[0, 0]


def test_seeds_that_change_nothing_are_no_knowledge_of_chance() -> None:
    rows = simulated(np.random.default_rng(0), parts=False)
    same = [InfluenceRow(**{**row.as_dict(), "influence": 0.1}) for row in rows]
    assert influence_intervals(same, "untrac") is None


def test_the_order_asked_for() -> None:
    rows = simulated(np.random.default_rng(0))
    names = ["corpus 3", "corpus 0"]
    intervals = influence_intervals(rows, "untrac", corpora=names)
    assert intervals is not None
    assert intervals.matrix.corpora == tuple(names)
    assert intervals.leaders("test") == ["corpus 0"]
