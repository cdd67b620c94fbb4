"""TOFU's model utility, against scipy and golden values, from what was measured of each example to the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hmean

from lightning_untrac.functional.harmonic_mean import harmonic_mean
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.of_sets import ReadSet
from lightning_untrac.metrics.of_sets.model_utility import ModelUtility
from lightning_untrac.results.measures import measure_text
from lightning_untrac.runs.judged_measures import OfSets, ReadModel, write_judged_measures
from lightning_untrac.tables.judged import read_judged_measures

SIZES = {"facts": 9, "retain": 30, "authors": 20, "world": 12, "plain": 7}
SETS = {**{name: [name] for name in SIZES}, "(test sets)": ["retain", "authors", "world", "plain"]}
MEASURES: list[Any] = ["probability", "rouge_l", {"class_path": "truth_ratio", "init_args": {"form": "true_better"}}]


def arrays(seed: int, zero: str | None = None) -> dict[str, dict[str, Any]]:
    chance = np.random.default_rng(seed)
    found: dict[str, dict[str, Any]] = {}
    for measure in ModelUtility.reads:
        values = {name: chance.uniform(0.2, 0.9, size) for name, size in SIZES.items()}
        weights = {name: np.ones(size) for name, size in SIZES.items()}
        if measure.startswith("truth_ratio"):
            weights["plain"][:] = 0  # a dataset without wrong answers
            weights["retain"][::3] = 0  # and questions without
            if zero is not None:
                values[zero][:] = 0
        found |= {f"{measure}/value": values, f"{measure}/weight": weights}
    return found


def nine(one: dict[str, dict[str, Any]], names: list[str]) -> list[float]:
    return [
        float(np.average(one[f"{measure}/value"][name], weights=one[f"{measure}/weight"][name]))
        for name in names
        for measure in ModelUtility.reads
    ]


def test_golden_values() -> None:
    assert harmonic_mean(np.array([0.9, 0.6, 0.8, 0.7])) == pytest.approx(0.73309091, abs=1e-8)
    assert harmonic_mean(np.array([0.75, 0.9, 0.8])) == pytest.approx(0.81203008, abs=1e-8)
    terms = np.random.default_rng(0).uniform(0.1, 1, (9, 5))
    np.testing.assert_allclose(harmonic_mean(terms), hmean(terms, axis=0), rtol=1e-12)
    assert harmonic_mean(np.array([0.9, 0.0, 0.9])) == 0
    assert np.isnan(harmonic_mean(np.array([0.9, np.nan, 0.9])))


def test_it_is_the_harmonic_mean_of_the_terms_of_all_datasets_that_have_them(tmp_path: Path) -> None:
    roles = {"original": arrays(0), "unlearned": arrays(1, zero="world"), "retrained": arrays(2)}
    models = [
        ReadModel(f"runs/{role}", "how", role, 0 if role == "retrained" else None, one) for role, one in roles.items()
    ]
    sums = OfSets([ModelUtility()], {}, [], {})
    write_judged_measures(tmp_path, "facts", find_measures(MEASURES), models, SETS, of_sets=sums)
    rows = [row for row in read_judged_measures(tmp_path) if row["measure"] == "model_utility"]
    means = {(row["dataset"], row["model"]): row for row in rows if row["statistic"] == "mean"}
    assert {dataset for dataset, _ in means} == {"retain", "authors", "world", "(test sets)"}  # not the forget set
    for role, one in roles.items():
        for dataset, names in SETS.items():
            names = [name for name in names if name != "plain"]
            if not names or dataset == "facts":
                continue
            terms = nine(one, names)
            assert len(terms) == 3 * len(names)
            row = means[dataset, f"runs/{role}"]
            expected = 0.0 if 0.0 in terms else hmean(terms)
            assert row["value"] == pytest.approx(expected, rel=1e-12)
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert means["(test sets)", "runs/unlearned"]["value"] == 0
    assert any(row["statistic"] == "difference" for row in rows)


def test_intervals_are_those_of_the_terms_and_few_examples_have_none() -> None:
    read = ReadSet([arrays(0)], [], ["retain", "authors", "world"], "facts", [], {})
    (found,) = ModelUtility()(read) or []
    value, low, high = found.mean
    assert low < value < high
    assert 0.005 < high - low < 0.1  # nine means of a dozen to thirty uniform numbers: a spread of .2 / sqrt(20) each
    alone = {key: {"one": one["world"][:1]} for key, one in arrays(0).items()}
    (single,) = ModelUtility()(ReadSet([alone], [], ["one"], "facts", [], {})) or []
    assert single.value == pytest.approx(hmean([alone[f"{name}/value"]["one"][0] for name in ModelUtility.reads]))
    assert np.isnan(single.mean.low)


def test_it_says_what_it_is_and_reads_measures_that_there_are() -> None:
    text = measure_text("model_utility")
    assert all([text.title, text.ideal, text.cannot_tell, text.source])
    assert tuple(measure.name for measure in find_measures(MEASURES)) == ModelUtility.reads
