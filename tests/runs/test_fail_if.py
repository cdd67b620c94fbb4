"""Conditions that end a command with an exit code of their own."""

from __future__ import annotations

import math

import pytest

from lightning_untrac.errors import ConditionMetError
from lightning_untrac.runs.fail_if import Condition, conditions, fail_if_met

SUMMARY = [
    {"measure": "answered", "dataset": name, "statistic": statistic, "value": value}
    for name, statistic, value in (
        ("held", "mean", 0.1), ("held", "worst_in_group", 0.5), ("held", "count", 9.0), ("far", "mean", 0.9),
        ("far", "perplexity", 20.0),
    )
]  # fmt: skip
SUMMARY += [
    {"measure": "loss", "dataset": "held", "statistic": "mean", "value": value, "condition": condition, "at": at}
    for value, condition, at in ((4.0, "", None), (2.0, "nf4", math.nan), (1.0, "", 5.0))
]
SUMMARY += [
    {"measure": "loss", "dataset": "held-rest", "statistic": "steps_to_half", "value": 3.0, "at": 20.0},
    *(
        {"measure": "own_samples", "dataset": "(retained)", "statistic": "distance", "value": value, "condition": where}
        for value, where in ((5.0, "its own samples"), (6.0, "samples of theirs"))
    ),
]
SUMMARY.append({"measure": "attack_loss", "dataset": "held", "statistic": "tpr_at_0.1_percent", "value": 0.5})
EXAMPLES = [
    {"measure": "answered", "dataset": "held", "value": value, "weight": weight}
    for value, weight in ((0.0, 1.0), (1.0, 1.0), (7.0, 0.0))
]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("answered > 0.05", ["held has 0.100", "far has 0.900"]),
        ("answered/held > 0.05", ["held has 0.100"]),
        ("answered/far<.95", ["far has 0.900"]),
        ("answered/held > 0.1", []),
        ("answered/held >= 0.1", ["held has 0.100"]),
        ("answered.worst_in_group > 0.4", ["held has 0.500"]),
        ("answered.perplexity > 9", ["far has 20.0"]),
        ("loss.mean@nf4 < 3", ["held has 2.00"]),
        ("loss.mean@5/held < 3", ["held has 1.00"]),
        ("loss.mean < 9", ["held has 4.00"]),  # of the model as it is
        ("loss.steps_to_half < 9", ["held-rest has 3.00"]),  # the only one that there is
        ("own_samples.distance@its own samples/(retained) > 0", ["(retained) has 5.00"]),
        ("attack_loss.tpr_at_0.1_percent >= .5", ["held has 0.500"]),
        ("answered.max/held >= 1", ["held has 1.00"]),  # what has no weight does not count
        ("answered.max/held > 1", []),
        ("answered.min <= 0", ["held has 0"]),
    ],
)
def test_where_it_is_met(text, met):
    condition = Condition.of(text)
    assert condition.met(SUMMARY, EXAMPLES) == [f"{condition}: {one}" for one in met]


def test_it_says_where_a_number_is():
    (said,) = Condition.of("own_samples.distance > 0").met(SUMMARY, [])
    assert "(there is @its own samples, @samples of theirs)" in said


def test_what_is_no_number_meets_every_condition():
    broken = [{**SUMMARY[0], "value": math.nan}]
    assert Condition.of("answered > 2").met(broken, [])
    assert Condition.of("answered.max > 2").met([], [{**EXAMPLES[0], "value": math.nan}, EXAMPLES[1]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("answered", "is no condition"),
        ("answered > much", "is no condition"),
        ("answered > nan", "is no condition"),
        ("answered.means > 1", "did you mean 'mean'"),
        ("answered == 1", "is no condition"),
    ],
)
def test_what_is_none(text, said):
    found, problems = conditions([text, "loss<2"])
    assert [str(one) for one in found] == ["loss.mean < 2"]
    assert said in problems[0]


def test_it_names_what_is_not_there():
    assert Condition.of("answerd/hold > 1").problems(["answered"], ["held"]) == [
        "fail_if: 'answerd' is not measured; did you mean 'answered'? add it to the measures",
        "fail_if: no dataset is named 'hold'; did you mean 'held'? there are held",
    ]
    (said,) = conditions("answered.means > 1")[1]
    assert "did you mean 'mean'" in said
    (said,) = conditions("answered@nf4 > 1")[1]
    assert "only a judgement" in said
    assert conditions("answered.auc@nf4 > 1", ["auc"])[1] == []


def test_all_that_are_met_are_said():
    asked, _ = conditions("answered/held>0, answered/far>0, zlib>0")
    with pytest.raises(ConditionMetError, match=r"(?s)held has 0\.100.*far has 0\.900") as caught:
        fail_if_met(asked, SUMMARY, EXAMPLES)
    assert caught.value.exit_code == 3
    fail_if_met(conditions("answered/held>0.2")[0], SUMMARY, EXAMPLES)
