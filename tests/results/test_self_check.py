from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.results import compare, influence_matrix
from lightning_untrac.results.self_check import self_check, self_check_sentence, without_self_sets
from lightning_untrac.tables import InfluenceRow

CORPORA = ("forum", "news", "code")


def matrix_of(values: np.ndarray, test_sets: tuple[str, ...], statuses: dict[tuple[str, str], str] | None = None):
    rows = [
        InfluenceRow(
            method="untrac",
            corpus=corpus,
            test_set=test_set,
            seed=0,
            step=1,
            final=True,
            influence=float(values[i, j]),
            status=(statuses or {}).get((corpus, test_set), "ok"),  # type: ignore[arg-type]
        )
        for i, corpus in enumerate(CORPORA)
        for j, test_set in enumerate(test_sets)
    ]
    return influence_matrix(rows, "untrac")


SELF = ("self_forum", "self_news", "self_code")


def test_a_method_that_finds_every_corpus_in_itself_passes() -> None:
    check = self_check(matrix_of(np.eye(3) + 0.01, SELF))
    assert check is not None
    assert (check.num_parts, check.num_first, check.passed) == (3, 3, True)
    assert check.correlation == pytest.approx(1)


def test_the_correlation_is_that_with_the_identity() -> None:
    values = np.random.default_rng(0).normal(size=(3, 3)) + 2 * np.eye(3)
    check = self_check(matrix_of(values, SELF))
    assert check is not None
    assert check.correlation == pytest.approx(
        np.mean([np.corrcoef(values[:, j], np.eye(3)[j])[0, 1] for j in range(3)])
    )


def test_a_collapse_that_raises_everything_alike_fails() -> None:
    check = self_check(matrix_of(5 + np.eye(3)[::-1] * 0.1, SELF))
    assert check is not None
    assert not check.passed
    assert check.wrong == (("self_forum", "code"), ("self_code", "forum"))


def test_what_no_corpus_helps_is_not_found() -> None:
    check = self_check(matrix_of(np.eye(3) - 2, SELF))
    assert check is not None
    assert check.num_first == 0


def test_a_flagged_cell_is_no_evidence() -> None:
    check = self_check(matrix_of(np.eye(3) * 9, SELF, {("news", "self_news"): "collapsed"}))
    assert check is not None
    assert check.wrong == (("self_news", "news"),)  # not found, and no other named in its place


def test_what_failed_is_said_with_what_to_do() -> None:
    check = self_check(matrix_of(5 + np.eye(3)[::-1] * 0.1, SELF))
    assert check is not None
    said = self_check_sentence(check, "untrac")
    assert said.startswith("UnTrac: of 3 parts of corpora, 1 have their own corpus first")
    assert "it names code for self_forum, forum for self_code" in said
    assert "unlearn less" in said
    assert "unlearn" not in self_check_sentence(check, "continuation")


def test_a_corpus_that_is_first_and_helps_nothing_is_not_called_a_mistake() -> None:
    check = self_check(matrix_of(np.eye(3) - 2, SELF))
    assert check is not None
    assert "it names" not in self_check_sentence(check, "graddot")


def test_parts_of_corpora_are_not_compared_with_retraining() -> None:
    rows = [
        InfluenceRow(method=method, corpus=c, test_set=t, seed=0, step=1, final=True, influence=float(i * (j + 1)))
        for method in ("untrac", "leave_out")
        for i, c in enumerate(CORPORA)
        for j, t in enumerate(("toxicity", *SELF))
    ]
    assert {row["test_set"] for row in compare(rows).to_pylist()} == {"toxicity", "mean"}


def test_only_parts_of_corpora_count_and_the_rest_is_what_was_asked() -> None:
    matrix = matrix_of(np.ones((3, 3)), ("toxicity", "self_portraits", "self_news"))
    check = self_check(matrix)
    assert check is not None
    assert check.num_parts == 1
    assert without_self_sets(matrix).test_sets == ("toxicity", "self_portraits")
    assert self_check(without_self_sets(matrix)) is None
    alone = matrix_of(np.eye(3), SELF)
    assert without_self_sets(alone) is alone
