import dataclasses
import math
import random

import numpy as np
import pytest
from scipy import stats

from lightning_untrac.results import compare, influence_matrix
from lightning_untrac.results.comparison_notes import comparison_notes
from lightning_untrac.tables import COMPARISON_SCHEMA, ResultsError, equal_tables


def by_key(table):
    return {(row["method"], row["test_set"]): row for row in table.to_pylist()}


def test_against_scipy(rows):
    table = compare(rows, num_resamples=200)
    assert table.schema == COMPARISON_SCHEMA
    found = by_key(table)
    mine, truth = influence_matrix(rows, "untrac"), influence_matrix(rows, "leave_out")
    for j, test_set in enumerate(mine.test_sets):
        row = found["untrac", test_set]
        assert row["pearson"] == pytest.approx(stats.pearsonr(mine.values[:, j], truth.values[:, j]).statistic)
        assert row["spearman"] == pytest.approx(stats.spearmanr(mine.values[:, j], truth.values[:, j]).statistic)
        assert row["ci_low"] <= row["pearson"] <= row["ci_high"]
        assert row["top1"] == 1.0
        assert (row["num_corpora"], row["num_seeds"]) == (5, 2)
        assert row["note"] == "5 corpora: |r| > 0.88 is needed for p < .05"
    mean = found["untrac", "mean"]
    for name in ("pearson", "spearman", "top1"):
        assert mean[name] == pytest.approx(np.mean([found["untrac", t][name] for t in mine.test_sets]))


def test_noise_ceiling(make_rows):
    rows = make_rows(seeds=(0, 1, 2))
    found = by_key(compare(rows, num_resamples=50))
    each = [influence_matrix(rows, "leave_out", seeds=[s]).values[:, 0] for s in (0, 1, 2)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([np.corrcoef(each[a], each[b])[0, 1] for a, b in pairs])
    ceiling = found["leave_out (other seeds)", "toxicity"]
    assert ceiling["pearson"] == pytest.approx(expected)
    assert "mean over 3 pairs" in ceiling["note"]
    assert not any("other seeds" in method for method, _ in by_key(compare(make_rows(seeds=(0,)), num_resamples=50)))


def test_nothing_depends_on_the_order_of_rows_or_corpora(rows):
    shuffled = random.Random(1).sample(rows, len(rows))
    first, second = by_key(compare(rows, num_resamples=50)), by_key(compare(shuffled, num_resamples=50))
    assert first.keys() == second.keys()
    for key, row in first.items():
        assert row["pearson"] == pytest.approx(second[key]["pearson"], abs=1e-12)
        assert row["spearman"] == pytest.approx(second[key]["spearman"], abs=1e-12)
    assert equal_tables(compare(rows, num_resamples=50), compare(rows, num_resamples=50))


def test_scale_and_offset_of_a_method_do_not_matter(rows):
    moved = [dataclasses.replace(r, influence=5 * r.influence - 3) if r.method == "untrac" else r for r in rows]
    for key, row in by_key(compare(moved, num_resamples=50)).items():
        other = by_key(compare(rows, num_resamples=50))[key]
        for name in ("pearson", "spearman", "ci_low", "ci_high", "top1"):
            assert row[name] == pytest.approx(other[name], abs=1e-9)


def test_flagged_cells_are_left_out_and_named(make_rows):
    flagged = [("untrac", "forum", "collapsed"), ("leave_out", "code", "nonfinite")]
    rows = make_rows(flagged=flagged)
    row = by_key(compare(rows, num_resamples=50))["untrac", "bias"]
    without = [r for r in rows if r.corpus not in ("forum", "code")]
    assert row["num_corpora"] == 3
    assert "left out, because collapsed, worse than guessing, not finite or missing: forum, code" in row["note"]
    assert row["pearson"] == pytest.approx(by_key(compare(without, num_resamples=50))["untrac", "bias"]["pearson"])


def test_unmatched_seeds_and_corpora_are_said(rows):
    some = [r for r in rows if not (r.method == "untrac" and (r.seed == 1 or r.corpus == "wiki"))]
    note = by_key(compare(some, num_resamples=50))["untrac", "mean"]["note"]
    assert "seeds 0 against leave_out's 0, 1" in note
    assert "4 corpora in common, without wiki" in note


def test_constant_scores_have_no_correlation(rows):
    flat = [dataclasses.replace(r, influence=0.0) if r.method == "untrac" else r for r in rows]
    row = by_key(compare(flat, num_resamples=50))["untrac", "mean"]
    assert all(math.isnan(row[name]) for name in ("pearson", "spearman", "top1", "ci_low", "ci_high"))
    assert "mean over 0 of 2 test sets" in row["note"]


def test_scores_without_losses_are_compared_by_their_influence(rows):
    bare = [dataclasses.replace(r, loss_before=None, loss_after=None) if r.method == "untrac" else r for r in rows]
    assert by_key(compare(bare, readout="relative", num_resamples=50))["untrac", "mean"]["pearson"] > 0


def test_what_cannot_be_compared_is_said(make_rows, rows):
    with pytest.raises(ResultsError, match="Run `untrac leave-out`"):
        compare([r for r in rows if r.method == "untrac"])
    with pytest.raises(ResultsError, match="at least two corpora"):
        compare(make_rows(corpora=("forum",)))
    with pytest.raises(ResultsError, match="nothing to compare"):
        compare(make_rows(methods=("leave_out",), seeds=(0,)))
    with pytest.raises(ResultsError, match="no influences of method 'graddot'"):
        compare(rows, methods=["graddot"])
    assert "fewer than three" in by_key(compare(make_rows(corpora=("a", "b"))))["untrac", "mean"]["note"]


def test_a_test_set_on_which_the_reference_knows_nothing_is_marked(make_rows):
    rng = np.random.default_rng(0)
    rows = [
        dataclasses.replace(r, influence=float(rng.normal())) if (r.method, r.test_set) == ("leave_out", "bias") else r
        for r in make_rows(seeds=(0, 1, 2))
    ]
    notes = {row["test_set"]: row["note"] for row in compare(rows, num_resamples=200).to_pylist()}
    assert "retraining cannot tell the corpora apart" in notes["bias"]
    assert "cannot tell" not in notes["toxicity"]


def test_a_column_whose_first_was_dropped_has_no_top_1_and_is_not_in_the_mean(make_rows):
    """Dropped or broken leaders once gave a top 1 of 100 % and went into the mean."""
    rows = [
        dataclasses.replace(r, status="collapsed")
        if (r.method, r.corpus, r.test_set) == ("untrac", "forum", "bias")
        else r
        for r in make_rows()
    ]
    found = by_key(compare(rows, num_resamples=50))
    partial, whole, mean = (found["untrac", name] for name in ("bias", "toxicity", "mean"))
    assert math.isnan(partial["top1"])
    assert "no top 1, and not in the mean, because UnTrac made the model collapse for `forum`" in partial["note"]
    assert math.isfinite(partial["pearson"])
    for name in ("pearson", "spearman", "top1", "num_corpora"):
        assert mean[name] == whole[name]
    assert "mean over 1 of 2 test sets" in mean["note"]
    some = [r for r in make_rows() if not (r.method == "untrac" and r.corpus == "forum")]
    absent = by_key(compare(some, num_resamples=50))["untrac", "bias"]
    assert math.isnan(absent["top1"])
    assert "forum, which is first by Leave-out retraining, is not compared" in absent["note"]


def test_two_corpora_have_no_correlation(make_rows):
    row = by_key(compare(make_rows(corpora=("forum", "news")), num_resamples=50))["untrac", "mean"]
    assert all(math.isnan(row[name]) for name in ("pearson", "spearman", "ci_low", "ci_high"))
    assert "2 corpora: a correlation says nothing with fewer than three" in row["note"]


def test_an_interval_that_excludes_nothing_is_not_given(make_rows):
    corpora = [f"corpus {i}" for i in range(5)]
    rng = np.random.default_rng(3)
    noise = [dataclasses.replace(r, influence=float(rng.normal())) for r in make_rows(corpora=corpora)]
    rows = [row for row in compare(noise).to_pylist() if row["method"] == "untrac"]
    withheld = [row for row in rows if math.isnan(row["ci_low"])]
    assert withheld
    assert all("leave nearly every value possible" in row["note"] for row in withheld)
    assert all(row["ci_high"] - row["ci_low"] <= 1.8 for row in rows if row not in withheld)


def test_what_retraining_cannot_tell_apart_is_said_with_its_test_set(make_rows):
    rng = np.random.default_rng(0)
    rows = [
        dataclasses.replace(r, influence=float(rng.normal())) if (r.method, r.test_set) == ("leave_out", "bias") else r
        for r in make_rows(seeds=(0, 1, 2))
    ]
    notes = comparison_notes(compare(rows, num_resamples=50))
    assert "Leave-out retraining cannot tell the corpora apart (bias)." in notes
