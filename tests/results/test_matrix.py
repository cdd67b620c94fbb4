import dataclasses

import numpy as np
import pytest

from lightning_untrac.results import influence_matrix, methods_of
from lightning_untrac.tables import InfluenceStore, ResultsError

CORPORA = ("forum", "news", "wiki", "code", "books")
TEST_SETS = ("toxicity", "bias")


def test_means_and_deviations_by_brute_force(rows):
    matrix = influence_matrix(rows, "untrac")
    assert matrix.corpora == CORPORA
    assert matrix.test_sets == TEST_SETS
    assert matrix.values.shape == matrix.std.shape == matrix.flags.shape == (5, 2)
    assert matrix.seeds == (0, 1)
    assert matrix.unit == "nats/token"
    for i, corpus in enumerate(CORPORA):
        for j, test_set in enumerate(TEST_SETS):
            cell = [
                r.influence
                for r in rows
                if (r.method, r.corpus, r.test_set, r.final) == ("untrac", corpus, test_set, True)
            ]
            assert matrix.values[i, j] == pytest.approx(sum(cell) / 2, rel=1e-15)
            assert matrix.std[i, j] == pytest.approx(np.std(cell, ddof=1), rel=1e-12)
    assert matrix.strongest() == ["forum", "forum"]
    assert methods_of(rows) == ["untrac", "leave_out"]


def test_table_and_rows_give_the_same_up_to_order(rows, tmp_path):
    store = InfluenceStore(tmp_path)
    store.append(rows)
    from_table = influence_matrix(store.table(), "untrac", corpora=CORPORA, test_sets=TEST_SETS)
    from_rows = influence_matrix(rows[::-1], "untrac", corpora=CORPORA, test_sets=TEST_SETS)
    np.testing.assert_array_equal(from_table.values, from_rows.values)
    np.testing.assert_array_equal(from_table.std, from_rows.std)
    alphabetical = influence_matrix(store.table(), "untrac")
    assert alphabetical.corpora == tuple(sorted(CORPORA))
    np.testing.assert_array_equal(alphabetical.select(CORPORA, TEST_SETS).values, from_rows.values)


def test_step_and_seed_are_chosen(rows):
    at_four = influence_matrix(rows, "untrac", step=4)
    np.testing.assert_allclose(at_four.values, influence_matrix(rows, "untrac").values / 2, rtol=1e-12)
    one = influence_matrix(rows, "untrac", seeds=[1])
    assert one.num_seeds == 1
    assert np.isnan(one.std).all()
    with pytest.raises(ResultsError, match=r"no readings at step 5 \(steps read: 4, 8\)"):
        influence_matrix(rows, "untrac", step=5)
    with pytest.raises(ResultsError, match="the table has: untrac, leave_out"):
        influence_matrix(rows, "graddot")


def test_readouts(rows):
    plain = influence_matrix(rows, "untrac", seeds=[0]).values
    np.testing.assert_allclose(influence_matrix(rows, "untrac", seeds=[0], readout="example").values, plain / 2)
    relative = influence_matrix(rows, "untrac", seeds=[0], readout="relative")
    np.testing.assert_allclose(relative.values, plain / (4 + plain))
    assert relative.unit == "relative"
    assert influence_matrix(rows, "untrac", readout="example").unit == "nats/token, mean of examples"
    bare = [dataclasses.replace(r, loss_before=None, loss_after=None) for r in rows]
    with pytest.raises(ResultsError, match="wrote no losses"):
        influence_matrix(bare, "untrac", readout="relative")


def test_flags_take_the_worst_and_missing_cells_are_said(make_rows):
    rows = make_rows(flagged=[("untrac", "forum", "collapsed"), ("untrac", "news", "nonfinite")])
    rows = [r for r in rows if (r.corpus, r.test_set) != ("wiki", "bias")]
    rows = [dataclasses.replace(r, status="ok") if (r.corpus, r.seed) == ("forum", 0) else r for r in rows]
    matrix = influence_matrix(rows, "untrac", corpora=CORPORA, test_sets=TEST_SETS)
    assert matrix.flags[0].tolist() == ["collapsed", "collapsed"]
    assert matrix.flags[1].tolist() == ["nonfinite", "nonfinite"]
    assert matrix.flags[2].tolist() == ["ok", "missing"]
    assert np.isfinite(matrix.values[0]).all()
    assert np.isnan(matrix.values[1]).all()
    assert np.isnan(matrix.values[2, 1])
    assert matrix.usable.sum() == 5
    assert matrix.strongest() == ["", ""]


def test_strongest_when_everything_is_flagged(make_rows):
    every = [("untrac", corpus, "collapsed") for corpus in CORPORA]
    matrix = influence_matrix(make_rows(flagged=every), "untrac")
    assert matrix.strongest() == ["", ""]
    assert matrix.runner_up("bias") is None
    nothing = influence_matrix(make_rows(flagged=[(m, c, "nonfinite") for m, c, _ in every]), "untrac")
    assert nothing.strongest() == ["", ""]
    assert nothing.runner_up("bias") is None


def test_the_latest_final_reading_counts(rows):
    longer = [dataclasses.replace(r, step=16, influence=9.0) for r in rows if r.final]
    assert (influence_matrix([*longer, *rows], "untrac").values == 9.0).all()


def test_runner_up(rows):
    matrix = influence_matrix(rows, "untrac")
    name, value = matrix.runner_up("toxicity")
    assert value == np.sort(matrix.values[:, 0])[-2]
    assert matrix.corpora[int(np.argsort(matrix.values[:, 0])[-2])] == name
