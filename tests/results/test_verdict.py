"""Verdicts on unlearned models: each statement stands while its interval leaves the boundary out, and falls with it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightning_untrac.metrics import find_measures
from lightning_untrac.results.evidence import is_enough
from lightning_untrac.results.judged import JudgedModel, JudgedSet, Value
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.results.memorised import MemorisedModel, MemorisedSet, survivors_anchor
from lightning_untrac.results.page import sentence_html
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.verdict import SHOWN_AT_MOST, Verdict, verdict_html, verdict_lines, verdicts_on
from lightning_untrac.tables.distances import RETAINED

find_measures("loss,memorisation_accuracy")  # of which lower and higher say that a text is known
describe_measure("sideways", MeasureText("Sideways"))  # says neither better nor worse
describe_measure("also", MeasureText("Also", direction="higher"))
COUNTED = "memorisation_accuracy"
Cells = dict[tuple[str, str, str], Value]


def about(value: float, half: float = 0.1) -> Value:
    """A number with an interval on both sides."""
    return Value(value, value - half, value + half)


#: What a model looks like that was as good as retrained.
ALIKE: Cells = {
    ("loss_gap", "forum", "nearer"): about(0.1),
    ("loss_gap", "forum", "excess"): about(0.02),
    ("loss_gap", RETAINED, "excess"): about(0.1, 0.3),
    **{(measure, dataset, "difference"): about(0.01)
       for measure in ("loss", COUNTED) for dataset in ("forum", RETAINED)},
}  # fmt: skip


def judged(cells: Cells | None = None, retrained: int = 2, before: Cells | None = None, gain: Value | None = None,
           without: str = "") -> JudgedSet:  # fmt: skip
    """An original and an unlearned model; numbers that differ from a retrained model's are given."""
    every = {**(ALIKE if retrained else {}), **(cells or {})}
    mine = {cell: value for cell, value in every.items() if cell[1] != without}
    together = JudgedModel("r", "retrain", "retrained", {} if gain is None else {("loss", RETAINED, "gain"): gain})
    return JudgedSet(
        "forum",
        retrained,
        [JudgedModel("o", "evaluate", "original", before or {}), JudgedModel("a/unlearned", "how", "unlearned", mine)],
        ["loss_gap"] if retrained else [],
        [name for name in ("forum", RETAINED) if name != without],
        together if retrained else None,
        ["loss", COUNTED, "sideways", "also"],
    )


def memorised(
    survive: float = 0, of_retrained: tuple[float, ...] = (0, 1), over: float = 0, sequences: int = 128, **cells: Value
) -> MemorisedSet:
    """Counts with Wilson's intervals, as the tables have them."""
    from scipy.stats import binomtest

    def one(model: str, role: str, counts: tuple[float, float], more: Any) -> MemorisedModel:
        values = {}
        for name, count in zip(("survivors", "over_forgotten"), counts, strict=True):
            if math.isnan(count):
                continue
            ends = binomtest(int(count), sequences).proportion_ci(method="wilson")
            values[COUNTED, name] = Value(count, ends.low * sequences, ends.high * sequences)
        values |= {("attack_loss", name): value for name, value in more.items()}
        return MemorisedModel(model, role, values, {}, np.zeros(0), [])

    every = [one("o", "original", (90, 0), {}), one("a/unlearned", "unlearned", (survive, over), cells)]
    of = {"auc": Value(0.52)} if "auc" in cells else {}
    others = [one(f"r/{seed}", "retrained", (count, 0), of) for seed, count in enumerate(of_retrained)]
    return MemorisedSet("forum", COUNTED, every, others, list(range(sequences)))


def verdict(judged: JudgedSet, known: MemorisedSet | None = None) -> Verdict:
    (found,) = verdicts_on(judged, known)
    return found


def test_what_nothing_tells_apart_looks_retrained() -> None:
    found = verdict(judged(), memorised())
    assert found.headline == "looks retrained"
    said = " ".join(found.reasons)
    assert "On forum it is nearer to the retrained model than to the original (" in said
    assert "differs by none of 2 measures" in said
    assert "0 survive" in said


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        ({("loss_gap", "forum", "excess"): about(0.2)}, {}),
        ({("loss_gap", "forum", "excess"): about(0.2, 0.4)}, {}),  # can't be told from 0, and may be .6
        ({("loss", "forum", "difference"): about(0.2)}, {}),
        ({("loss", "forum", "difference"): about(-0.2)}, {}),
        ({("sideways", "forum", "difference"): about(0.2)}, {}),
        ({("loss", "forum", "ks_p_value"): Value(0.01)}, {}),
        ({("loss", "forum", "difference"): Value(0.01)}, {}),  # no interval
        ({}, {"survive": 2}),
        ({}, {"auc": about(0.7), "auc_difference": about(0.18)}),
        ({}, {"auc": about(0.1), "auc_difference": about(-0.42)}),
    ],
)
def test_any_one_thing_keeps_it_from_looking_retrained(cells: Cells, known: dict[str, Any]) -> None:
    assert "looks retrained" not in verdict(judged(cells), memorised(**known)).headline.replace("whether it looks", "")


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        ({("loss_gap", "forum", "excess"): about(0.2, 0.25)}, {}),
        ({("loss", "forum", "difference"): about(0.2, 0.25)}, {}),
        ({("sideways", "forum", "difference"): about(0.2, 0.25)}, {}),
        ({("loss", "forum", "ks_p_value"): Value(0.06)}, {}),
        ({}, {"survive": 1}),
        ({}, {"auc": about(0.7), "auc_difference": about(0.18, 0.2)}),
        ({}, {"auc": about(0.1), "auc_difference": about(-0.42, 0.5)}),
    ],
)
def test_an_interval_over_the_boundary_says_nothing_against_it(cells: Cells, known: dict[str, Any]) -> None:
    assert verdict(judged(cells), memorised(**known)).headline == "looks retrained"


def test_what_is_known_worse_is_forgotten_and_over_forgotten() -> None:
    found = verdict(judged({("loss", "forum", "difference"): about(0.2)}), memorised())
    assert found.headline == "forgotten, and over-forgotten"
    (reason,) = [said for said in found.reasons if "known worse than by" in said]
    assert reason.startswith(
        "By 1 of 2 measures forum is known worse than by the retrained models: loss +0.200 (+0.100 to +0.300)"
    )
    by_accuracy = {(name, "forum", "difference"): about(-0.2) for name in (COUNTED, "also")}  # of which lower is worse
    assert verdict(judged(by_accuracy)).headline == "forgotten, and over-forgotten"


def test_an_auc_far_below_half_stands_out() -> None:
    found = verdict(judged(), memorised(auc=about(0.1), auc_difference=about(-0.42)))
    assert found.headline == "forgotten, and over-forgotten"
    (reason,) = [said for said in found.reasons if "gives away that it was there" in said]
    assert (
        "AUC 0.100 (0 to 0.200), of retrained models 0.520, difference \u22120.420 (\u22120.520 to \u22120.320)."
        in reason
    )


@pytest.mark.parametrize(
    ("nearer", "words"),
    [(about(0.9), "not forgotten"), (about(0.45), "not wholly forgotten"), (about(0.2), "not wholly forgotten")],
)
def test_what_is_known_better_is_not_forgotten(nearer: Value, words: str) -> None:
    cells = {("loss", "forum", "difference"): about(-0.2), ("loss_gap", "forum", "nearer"): nearer}
    assert verdict(judged(cells), memorised()).headline == words


def test_an_attack_alone_tells_that_it_is_not_forgotten() -> None:
    found = verdict(judged(), memorised(auc=about(0.7), auc_difference=about(0.18)))
    assert found.headline == "not wholly forgotten"
    assert any("is told from unseen text" in said for said in found.reasons)


def test_measures_that_disagree_are_both_said() -> None:
    cells = {(name, "forum", "difference"): about(-0.2) for name in ("loss", COUNTED, "also")}
    assert verdict(judged(cells)).headline == "known better in one way and worse in another; over-forgotten"


def test_survivors_are_counted_beside_the_retrained_models_and_chance() -> None:
    many = verdict(judged(), memorised(survive=20))
    assert many.headline == "survivors: 20 of 128"
    anchor = survivors_anchor("forum", "unlearned")
    assert plain(many.linked) == "survivors: 20 of 128, here they are"
    assert f'<a href="#{anchor}">here they are</a>' in sentence_html(many.linked)
    few = verdict(judged(), memorised(survive=3))
    assert few.headline == "survivors: 3 of 128, perhaps by chance"
    assert any("About 3.20 of 128 unseen sequences" in said for said in few.reasons)
    # As many as of a retrained model.
    assert verdict(judged(), memorised(survive=20, of_retrained=(0, 20))).headline == "looks retrained"
    assert verdict(judged(), memorised(survive=20, of_retrained=(0, 18))).headline.endswith("perhaps by chance")


def test_survivors_and_what_is_over_forgotten_stand_beside_each_other() -> None:
    found = verdict(judged({("loss", "forum", "difference"): about(0.2)}), memorised(survive=20))
    assert found.headline == "survivors: 20 of 128; over-forgotten"
    assert verdict(judged(), memorised(over=30)).headline == "over-forgotten: 30 of 128"
    assert verdict(judged(), memorised(over=3)).headline == "looks retrained"


def test_unlike_in_a_way_that_is_neither_better_nor_worse() -> None:
    other_way = {("sideways", "forum", "difference"): about(0.2), ("also", "forum", "difference"): about(0.2)}
    assert verdict(judged(other_way)).headline == "unlike a retrained model"
    found = verdict(judged({("loss_gap", "forum", "excess"): about(1.4)}))
    assert found.headline == "unlike a retrained model"
    assert any("It ended farther from it than the original is" in said for said in found.reasons)
    assert verdict(judged({("loss", "forum", "ks_p_value"): Value(0.01)})).headline == "unlike a retrained model"


def test_what_is_retained_and_known_worse_is_a_cost() -> None:
    cost = {("loss", RETAINED, "difference"): about(0.3)}
    found = verdict(judged(cost, before={("loss", RETAINED, "difference"): about(0.05)}))
    assert found.headline == "looks retrained on forum; costs what is retained"
    assert any("what is retained is known worse than by the retrained models: loss +0.300" in r for r in found.reasons)
    assert verdict(judged({("loss", RETAINED, "difference"): about(0.3, 0.4)})).headline == "looks retrained"


def test_what_the_original_knew_no_better_is_no_cost_of_unlearning() -> None:
    worse = {("loss", RETAINED, "difference"): about(0.3)}
    same = verdict(judged(worse, before={("loss", RETAINED, "difference"): about(0.3)}))
    assert same.headline == "looks retrained on forum; unlike a retrained model on what is retained"
    gained = {**worse, ("loss", RETAINED, "recovered"): about(-0.2)}
    assert "costs what is retained" in verdict(judged(gained, gain=about(0.3))).headline
    partly = {**worse, ("loss", RETAINED, "recovered"): about(-0.05)}
    assert "costs what is retained" not in verdict(judged(partly, gain=about(0.3))).headline


def test_where_nothing_retained_was_measured_only_the_forget_set_is_spoken_of() -> None:
    assert verdict(judged(without=RETAINED)).headline == "looks retrained on forum"


def test_intervals_that_are_too_wide_or_missing_allow_nothing() -> None:
    wide = verdict(judged({("loss_gap", "forum", "excess"): about(0.2, 0.4)}))
    assert wide.headline == "can't tell whether it looks retrained: intervals are too wide"
    assert any("difference of log-likelihood up to +0.600" in said for said in wide.reasons)
    few = verdict(judged({("loss_gap", "forum", "excess"): Value(0.1), ("loss", "forum", "difference"): Value(0.1)}))
    assert few.headline == "can't tell whether it looks retrained: too few examples"
    none = verdict(replace(judged(), measures=[]))
    assert none.headline == "can't tell whether it looks retrained"
    assert any("no distance to the retrained models was measured" in said for said in none.reasons)


def test_one_measure_of_many_says_nothing_by_itself() -> None:
    one = {(COUNTED, "forum", "difference"): about(-0.2), (COUNTED, RETAINED, "difference"): about(-0.2)}
    found = verdict(judged(one), memorised())
    assert found.headline == "can't tell whether it looks retrained: few measures differ"
    assert any("it differs by too few of 2 measures (memorisation accuracy), which may be by chance" in said
               for said in found.reasons)  # fmt: skip
    kept = {cell: value for cell, value in one.items() if cell[1] == RETAINED}
    found = verdict(judged(kept))
    assert found.headline == "looks retrained on forum"
    assert any("What is retained differs by few measures, perhaps by chance: memorisation accuracy" in said
               for said in found.reasons)  # fmt: skip
    two = {**one, ("also", "forum", "difference"): about(-0.2), ("also", RETAINED, "difference"): about(-0.2)}
    before = {(name, RETAINED, "difference"): about(0.05) for name in (COUNTED, "also")}
    assert verdict(judged(two, before=before)).headline == "forgotten, and over-forgotten; costs what is retained"


@pytest.mark.parametrize(("looked_at", "enough"), [(2, True), (39, True), (40, False)])
def test_two_are_enough_while_they_are_more_than_a_twentieth(looked_at: int, enough: bool) -> None:
    assert is_enough(["one", "two"], looked_at) is enough
    assert is_enough(["loss"], looked_at)
    assert not is_enough(["one"], 1)


def test_chance_alone_seldom_makes_nine_measures_say_anything() -> None:
    """Independent 95 % intervals of what is alike: any one of nine differs in 37 of 100 cases, the rule in 11."""
    differ = np.random.default_rng(0).random((20_000, 9)) < 0.05
    names = np.array(["loss", *(f"m{place}" for place in range(8))])
    said = np.mean([is_enough(names[row].tolist(), 9) for row in differ])
    # 1 - P(none) - P(exactly one, and not the loss)
    assert said == pytest.approx(1 - 0.95**9 - 8 * 0.05 * 0.95**8, abs=0.01)
    assert differ.any(axis=1).mean() == pytest.approx(1 - 0.95**9, abs=0.015)


def test_excess_stands_beside_the_originals_own() -> None:
    found = verdict(judged(before={("loss_gap", "forum", "excess"): about(0.42)}))
    (said,) = [one for one in found.reasons if "excess" in one]
    assert "(0: as another retraining, the original's own: difference of log-likelihood 0.420 (0.320 to 0.520))" in said


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (about(0.9), "On forum it is nearer to the original than to the retrained model ("),
        (about(0.45), "On forum whether it is nearer to the original or to the retrained model can't be told ("),
    ],
)
def test_which_is_nearer_is_said_as_it_is(share: Value, words: str) -> None:
    assert verdict(judged({("loss_gap", "forum", "nearer"): share})).reasons[0].startswith(words)
    two = judged({("loss_gap", "forum", "nearer"): share, ("kl_divergence", "forum", "nearer"): about(0.1)})
    said = verdict(replace(two, measures=["loss_gap", "kl_divergence"])).reasons[0]
    assert words.removeprefix("On forum ").removesuffix(" (") in said
    assert "it is nearer to the retrained model than to the original" in said


def test_a_model_whose_logits_are_not_finite_has_that_for_a_headline() -> None:
    nan = {("loss", dataset, statistic): Value(math.nan) for dataset in ("forum", RETAINED) for statistic in ("mean",)}
    for retrained in (0, 1, 2):
        found = verdict(judged(nan, retrained), memorised(survive=math.nan, over=math.nan))
        assert found.headline == "its logits are not finite"
        assert any("\u2013 survive" in said for said in found.reasons)
    some = {**nan, ("loss", "forum", "mean"): about(2.0)}
    assert verdict(judged(some)).headline == "looks retrained"


def test_beside_one_retrained_model_a_difference_is_no_proof() -> None:
    untold = "can't tell whether it looks retrained: one retrained model"
    differs = f"differs from the one retrained model (another retraining may differ as much); {untold}"
    for name, dataset, change in (("loss", "forum", 0.2), ("loss", "forum", -0.2), ("loss", RETAINED, 0.3)):
        found = verdict(judged({(name, dataset, "difference"): about(change)}, retrained=1))
        assert found.headline == differs
        assert any("than by the retrained model: loss" in said for said in found.reasons)
    assert verdict(judged({("sideways", "forum", "difference"): about(0.2)}, retrained=1)).headline == untold
    far = {("loss_gap", "forum", "nearer"): about(0.9)}
    twins = memorised(of_retrained=(1,), auc=about(0.7), auc_difference=about(0.18))
    assert verdict(judged(far, retrained=1), twins).headline == f"not forgotten; {differs}"
    by_luck = memorised(of_retrained=(1,), auc=about(0.55), auc_difference=about(0.18))  # its AUC may be chance
    assert verdict(judged(far, retrained=1), by_luck).headline == differs
    stands_out = memorised(of_retrained=(1,), auc=about(0.1), auc_difference=about(-0.42))
    assert verdict(judged(retrained=1), stands_out).headline == differs
    kept = verdict(judged(retrained=1), memorised(survive=20, of_retrained=(1,)))
    assert kept.headline == f"survivors: 20 of 128; {untold}"


def test_one_retrained_model_never_makes_a_model_look_retrained() -> None:
    untold = "can't tell whether it looks retrained: one retrained model"
    no_excess = {("loss_gap", dataset, "excess"): Value(math.nan) for dataset in ("forum", RETAINED)}
    found = verdict(judged(no_excess, retrained=1), memorised(of_retrained=(1,)))
    assert found.headline == f"no difference to the retrained model on forum; {untold}"
    far = {**no_excess, ("loss_gap", "forum", "nearer"): about(0.45)}
    assert verdict(judged(far, retrained=1)).headline == untold
    better = {**no_excess, ("loss", "forum", "difference"): about(-0.2), ("loss_gap", "forum", "nearer"): about(1, 0)}
    assert verdict(judged(better, retrained=1)).headline.startswith("differs from the one retrained model (")


def test_without_retrained_models_there_are_the_original_unseen_text_and_chance() -> None:
    untold = "can't tell whether it looks retrained: no retrained model"
    before = {("loss", "forum", "mean"): about(1.0), ("loss", RETAINED, "mean"): about(2.0)}

    def at(forget: float, kept: float, half: float = 0.1, **known: Any) -> str:
        cells = {("loss", "forum", "mean"): about(forget, half), ("loss", RETAINED, "mean"): about(kept, half)}
        return verdict(judged(cells, 0, before), memorised(of_retrained=(), **known)).headline

    assert at(3.0, 2.0) == f"known worse than before; {untold}"
    assert at(3.0, 2.0, half=2.0) == untold
    assert at(1.0, 2.5) == f"costs what is retained; {untold}"
    assert at(1.0, 1.5) == untold  # better
    assert at(1.0, 2.0, auc=about(0.7)) == f"known better than unseen text; {untold}"
    assert at(1.0, 2.0, auc=about(0.7, 0.25)) == untold
    assert at(1.0, 2.0, auc=about(0.1)) == f"known worse than unseen text; {untold}"
    assert at(1.0, 2.0, survive=20) == f"survivors: 20 of 128; {untold}"
    assert at(1.0, 2.0, survive=3) == untold  # fewer than by chance


def test_examinations_stand_among_the_reasons_and_many_reasons_open_with_a_click() -> None:
    said = [f"<It comes back after {steps} steps.>" for steps in range(SHOWN_AT_MOST)]
    (found,) = verdicts_on(judged(), memorised(), {"a/unlearned": said, "elsewhere": ["Nothing."]})
    assert found.reasons[-len(said) :] == said
    page = verdict_html([found])
    assert "&lt;It comes back after 0 steps.&gt;" in page.partition("<details>")[0]
    assert "&lt;It comes back after 5 steps.&gt;" in page.partition("<details>")[2]
    assert verdict_html([]) == ""
    lines = verdict_lines([found])
    assert lines[0] == "unlearned: looks retrained"
    assert all(line.startswith("  ") for line in lines[1:])
