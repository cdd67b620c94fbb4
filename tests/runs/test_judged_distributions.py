"""Whether models' truth ratios may be draws of one distribution, against scipy and beside the noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from lightning_untrac.metrics import find_measures
from lightning_untrac.results.judged import JudgedModel, JudgedSet, Value
from lightning_untrac.results.judged_table import measure_rows
from lightning_untrac.runs.judged_measures import ReadModel, write_judged_measures
from lightning_untrac.tables.judged import read_judged_measures

SIZES = {"facts": 60, "far": 35, "silent": 4}
SETS = {"facts": ["facts"], "far": ["far"], "silent": ["silent"], "(all)": ["facts", "far"]}
#: How far each model's log truth ratios are from those of the first retrained one, and what they are drawn with.
MODELS = {"original": -2.0, "unlearned": 0.8, "again": 0.0, "seed-0": 0.0, "seed-1": 0.1, "seed-2": 0.0}


def read(seeds: int) -> list[ReadModel]:
    models = []
    for number, (name, shift) in enumerate(list(MODELS.items())[: 3 + seeds]):
        chance = np.random.default_rng(number)
        arrays: dict[str, dict[str, Any]] = {}
        for measure in ("truth_ratio", "loss"):
            values = {one: np.exp(shift + chance.standard_normal(size)) for one, size in SIZES.items()}
            weights = {one: np.ones(size) for one, size in SIZES.items()}
            weights["silent"][:] = 0
            weights["facts"][:3] = 0  # questions without wrong answers
            arrays |= {f"{measure}/value": values, f"{measure}/weight": weights}
        role = name if name == "original" else "retrained" if name.startswith("seed") else "unlearned"
        path = f"runs/retrained-facts/{name}" if role == "retrained" else f"runs/{name}"
        models.append(ReadModel(path, "how", role, int(name[-1]) if role == "retrained" else None, arrays))
    return models


def p_value(one: ReadModel, other: ReadModel, names: list[str]) -> float:
    counted = [
        np.concatenate([model.arrays["truth_ratio/value"][name][3 if name == "facts" else 0 :] for name in names])
        for model in (one, other)
    ]
    return float(ks_2samp(*counted).pvalue)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_each_model_is_held_against_each_retrained_one_as_scipy_does(seeds: int, tmp_path: Path) -> None:
    models = read(seeds)
    write_judged_measures(tmp_path, "facts", find_measures("truth_ratio,loss"), models, SETS)
    rows = [row for row in read_judged_measures(tmp_path) if row["statistic"] == "ks_p_value"]
    assert {row["measure"] for row in rows} == {"truth_ratio"}
    assert {row["dataset"] for row in rows} == {"facts", "far", "(all)"}  # of what has no value nothing is said
    assert all(row["ci_low"] is row["ci_high"] is None and row["retrained"] == seeds for row in rows)
    found = {(row["dataset"], row["model"], row["seed"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    truth, expected = models[3:], {}
    for dataset, names in SETS.items():
        if dataset == "silent":
            continue
        for model in models[:3]:
            each = [p_value(model, one, names) for one in truth]
            expected |= {(dataset, model.path, one.seed): value for one, value in zip(truth, each, strict=True)}
            expected[dataset, model.path, None] = np.median(each)
        if seeds == 1:
            continue
        for model in truth:
            expected[dataset, model.path, model.seed] = np.median(
                [p_value(model, x, names) for x in truth if x != model]
            )
        pairs = [p_value(one, other, names) for place, one in enumerate(truth) for other in truth[:place]]
        expected[dataset, "runs/retrained-facts", None] = np.median(pairs)
    assert found == pytest.approx(expected, rel=1e-12)
    # The original and a model of another distribution stand out; one that is drawn as the retrained ones does not.
    by_name = {name: found["facts", f"runs/{name}", None] for name in ("original", "unlearned", "again")}
    assert by_name["original"] < by_name["unlearned"] < 0.05 < by_name["again"]


def test_the_report_has_the_p_values_with_the_noise_as_the_last_row() -> None:
    def model(name: str, role: str, value: float) -> JudgedModel:
        statistics = {"mean": 0.5, "ks_p_value": value}
        return JudgedModel(
            name, "how", role, {("truth_ratio", "facts", one): Value(x) for one, x in statistics.items()}
        )

    models = [model("a", "original", 1e-9), model("b", "unlearned", 0.25)]
    judged = JudgedSet("facts", 2, models, [], ["facts"], model("c", "retrained", 0.875), ["truth_ratio"])
    mean, tested = measure_rows(judged, ["facts"])
    assert (mean.title, tested.title) == ("Truth ratio", "Same distribution: truth ratio")
    assert [[cell.text for cell in cells] for _, cells in tested.rows] == [["1.00e\u22129"], ["0.250"], ["0.875"]]
    alone = JudgedSet("facts", 1, [JudgedModel("a", "how", "original", {})], [], ["facts"], None, ["truth_ratio"])
    assert [one.title for one in measure_rows(alone, ["facts"])] == ["Truth ratio"]
