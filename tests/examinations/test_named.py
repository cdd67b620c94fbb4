"""What names of measures, examinations and sets stand for."""

from __future__ import annotations

import pytest

from lightning_untrac.examinations.examination import EXAMINATIONS
from lightning_untrac.examinations.named import NEIGHBOURS, SIZES, of_set, set_names, suite_of
from lightning_untrac.metrics import MEASURES, Measure, Measured
from lightning_untrac.outputs import Outputs


def test_each_size_holds_the_one_before() -> None:
    every = [{*measures, *examinations} for measures, examinations in map(of_set, SIZES)]
    assert every[0] < every[1] < every[2]


def test_each_set_holds_something_and_each_member_says_so() -> None:
    for name in set_names():
        measures, examinations = of_set(name)
        assert measures or examinations
        if name not in SIZES:
            assert all(name in MEASURES[one].groups for one in measures)
            assert all(name in EXAMINATIONS[one].groups for one in examinations)


def test_sets_and_names_mix_and_each_is_there_once() -> None:
    suite, problems = suite_of("quick,loss,barrier,membership", judges=True)
    assert problems == []
    assert len(suite.measures) == len({str(one) for one in suite.measures})
    assert {"loss", "zlib", "extraction_strength"} <= {str(one) for one in suite.measures}
    assert suite.examinations == ["barrier"]
    assert "loss" not in suite.of_sets
    assert "zlib" in suite.of_sets
    assert {"loss", "zlib", "min_k"} <= set(suite.attacks)


def test_neighbours_are_an_attack_of_a_judgement_and_a_measure_elsewhere() -> None:
    judged, alone = (suite_of("membership", judges=judges)[0] for judges in (True, False))
    assert (judged.neighbours, alone.neighbours) == (NEIGHBOURS, 0)
    assert "neighbourhood" not in judged.measures
    assert "neighbourhood" in alone.measures


def test_settings_of_a_member_stand_for_it() -> None:
    asked = [{"class_path": "min_k", "init_args": {"share": 0.4}}, "membership"]
    suite, problems = suite_of(asked, judges=True)
    assert problems == []
    assert "min_k" not in suite.measures
    assert suite.made()[0][0].name == "min_k_share_0_4"


def test_everything_that_is_wrong_is_said() -> None:
    _, problems = suite_of("los,no.such.One", judges=False)
    assert any("did you mean 'loss'" in one for one in problems)
    assert any("no.such.One" in one for one in problems)
    assert suite_of("", judges=False)[1]


def test_what_a_set_lacks_is_left_out_and_said() -> None:
    suite, _ = suite_of("standard", judges=True)
    assert "exposure" in suite.measures
    suite.without_needs(["answers"])
    assert "exposure" not in suite.measures
    assert any("exposure" in note for note in suite.left_out)
    named, _ = suite_of("exposure", judges=True)
    named.without_needs([])
    assert named.measures == ["exposure"]  # named by itself: refused elsewhere


def test_a_subclass_is_in_no_set_unless_it_says_so() -> None:
    class Mine(MEASURES["loss"]):  # type: ignore[misc, valid-type, name-defined]
        name = "mine_of_this_test"

        def __call__(self, seen: Outputs) -> Measured:
            return super().__call__(seen)

    assert issubclass(Mine, Measure)
    assert all("mine_of_this_test" not in of_set(name)[0] for name in set_names())
    MEASURES._classes.pop("mine_of_this_test")


@pytest.mark.parametrize("name", SIZES)
def test_sizes_can_be_made(name: str) -> None:
    suite, problems = suite_of(name, judges=True)
    assert problems == []
    measures, examinations = suite.made()
    assert measures
    assert bool(examinations) == (name != "quick")
