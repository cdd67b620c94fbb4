"""A column that is broken or partial gets no verdict anywhere, and the reason stands in its place."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from lightning_untrac.attribution import LeaveOut, UnTrac
from lightning_untrac.results import influence_intervals, influence_matrix, matrix_table, plot_matrix
from lightning_untrac.results.chance import candidates, findings, sign_title
from lightning_untrac.results.doubts import doubts
from lightning_untrac.results.narrative import answers
from lightning_untrac.results.sections import matrix_section
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.soundness import no_verdict, why_no_verdict
from lightning_untrac.tables import InfluenceRow

GUESS = 5.5


def rows_of(method: str = "untrac", test_set: str = "bias", **changed: dict[str, object]) -> list[InfluenceRow]:
    """Influences .3, .2 and .1 of three corpora, with seeds and so intervals; ``changed`` holds fields by corpus."""
    rows = []
    for place, corpus in enumerate(("forum", "news", "code")):
        for seed in range(3):
            influence = 0.3 - 0.1 * place + 0.001 * seed
            fields = {"influence": influence, "loss_before": 2.0, "loss_after": 2.0 + influence, "guess_loss": GUESS}
            fields |= changed.get(corpus, {})
            rows.append(
                InfluenceRow(method=method, corpus=corpus, test_set=test_set, seed=seed, step=4, final=True, **fields)  # type: ignore[arg-type]
            )
    return rows


UNSOUND = {
    "UnTrac made the model collapse for `code`": rows_of(code={"status": "collapsed", "influence": 9.0}),
    "UnTrac raised the loss above that of a uniform guess for `code`": rows_of(code={"status": "broken"}),
    "UnTrac gave losses that are not finite for `code`": rows_of(
        code={"status": "nonfinite", "influence": float("nan")}
    ),
    "UnTrac has no reading of `code`": [row for row in rows_of() if row.corpus != "code"],
    "the model never learned it": [
        dataclasses.replace(row, loss_before=6.0, loss_after=6.0 + row.influence) for row in rows_of()
    ],
}


@pytest.mark.parametrize("reason", UNSOUND)
def test_no_verdict_in_any_place_and_the_reason_in_all(reason: str) -> None:
    rows, corpora = UNSOUND[reason], ("forum", "news", "code")
    matrix = influence_matrix(rows, "untrac", corpora=corpora)
    intervals = influence_intervals(rows, "untrac", corpora=corpora)
    assert intervals is not None
    assert reason in plain(why_no_verdict(matrix, "bias"))
    assert matrix.strongest() == [""]
    assert matrix.runner_up("bias") is None
    assert candidates(matrix, intervals, "bias") == []
    said = plain(no_verdict(matrix, "bias"))
    assert [plain(sentence) for sentence in findings(matrix, intervals)] == [said]
    assert [plain(sentence) for sentence in findings(matrix)] == [said]
    stream = io.StringIO()
    Console(file=stream, width=200).print(matrix_table(matrix, intervals))
    terminal = stream.getvalue()
    assert "ahead of all others" not in terminal
    assert "\u25b8" not in terminal
    assert reason in " ".join(terminal.split())
    assert ' best"' not in matrix_section(matrix, intervals)
    (answer,) = answers(matrix, None, (), intervals)
    assert plain(answer).startswith("`bias`: no verdict from UnTrac, because ")
    assert reason in plain(answer)
    plot_matrix(matrix)


def test_a_sound_column_has_its_verdict() -> None:
    rows = rows_of()
    matrix, intervals = influence_matrix(rows, "untrac"), influence_intervals(rows, "untrac")
    assert matrix.strongest() == ["forum"]
    assert [plain(sentence) for sentence in findings(matrix, intervals)] == ["`bias`: `forum` is ahead of all others."]
    assert not no_verdict(matrix, "bias")


def test_methods_do_not_disagree_with_one_that_is_broken() -> None:
    broken = influence_matrix(rows_of(code={"status": "collapsed", "influence": 9.0}), "untrac")
    other = influence_matrix(rows_of("untrac_inv", news={"influence": 0.5}), "untrac_inv")
    said = [plain(sentence) for _, sentence in doubts([broken, other])]
    assert not any("disagree" in sentence for sentence in said)
    (answer,) = answers(other, None, [broken])
    assert plain(answer).startswith("`bias` comes most from `news`")


def test_methods_disagree_only_where_chance_leaves_no_corpus_to_both() -> None:
    """Two methods whose first corpora differ, and each of which cannot tell them apart, do not disagree."""
    clear = rows_of("untrac_inv", news={"influence": 0.5})
    near = rows_of(news={"influence": 0.29}, forum={"influence": 0.3}, code={"influence": -0.9})
    torn = [dataclasses.replace(r, influence=r.influence + (r.seed - 1) * 0.4 * (r.corpus == "news")) for r in near]
    intervals = {name: influence_intervals(rows, name) for name, rows in (("untrac", torn), ("untrac_inv", clear))}
    matrices = [influence_matrix(torn, "untrac"), influence_matrix(clear, "untrac_inv")]
    assert set(candidates(matrices[0], intervals["untrac"], "bias")) in ({"forum", "news"}, set())
    assert not any("disagree" in plain(sentence) for _, sentence in doubts(matrices, intervals=intervals))  # type: ignore[arg-type]
    assert any("disagree" in plain(sentence) for _, sentence in doubts(matrices))


def test_a_reading_above_a_guess_that_retraining_ended_at_is_a_finding() -> None:
    """Without the one corpus that taught a test set, a model may be worse than guessing on it."""
    rows = rows_of("leave_out", forum={"influence": 4.0, "loss_after": 6.0})
    assert influence_matrix(rows, "leave_out").strongest() == ["forum"]


def test_the_colours_of_methods_whose_sign_says_nothing_say_so() -> None:
    assert (UnTrac.signed, LeaveOut.signed) == (True, False)
    trained, unlearned = (influence_matrix(rows_of(method), method) for method in ("leave_out", "untrac"))
    assert "not: works against" in sign_title(trained)[1]
    assert sign_title(unlearned) == ("helps", "works against")


@pytest.mark.parametrize(("before", "said"), [(GUESS - 0.04, True), (GUESS - 0.06, False), (GUESS + 0.1, False)])
def test_a_test_set_that_training_hardly_lowered_is_remarked_in_terminal_and_page(before: float, said: bool) -> None:
    changed = [dataclasses.replace(r, loss_before=before, loss_after=before + r.influence) for r in rows_of()]
    matrix = influence_matrix(changed, "untrac")
    stream = io.StringIO()
    Console(file=stream, width=200).print(matrix_table(matrix))
    terminal = " ".join(stream.getvalue().split())
    remark = "before the first step the loss on `bias` lay only 0.04 nats per token below that of a uniform guess"
    assert (remark in terminal) == said
    assert ("warning" in {level for level, note in doubts([matrix]) if remark in plain(note)}) == said
