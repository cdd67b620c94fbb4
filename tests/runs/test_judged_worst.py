"""What the worst question of each fact says of the models of a judgement."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightning_untrac.metrics import find_measures
from lightning_untrac.runs.judged_measures import ReadModel, write_judged_measures
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import JUDGED_MEASURES

MARKS = {"asked": ("a", "a", "b", "b"), "more": ("a", "a", "a", "a"), "none": None}
VALUES = {"original": [1, 1, 1, 0], "unlearned": [0, 1, 0, 0], "retrained": [0, 0, 0, 0]}


def test_one_question_is_enough_for_a_fact_and_facts_of_two_datasets_are_two(tmp_path: Path) -> None:
    models = []
    for role, values in VALUES.items():
        arrays = {f"answered/{part}": {name: np.array(numbers, dtype=np.float64) for name in MARKS}
                  for part, numbers in (("value", values), ("weight", [1, 1, 1, 1]))}  # fmt: skip
        arrays |= {name.replace("answered", "loss"): array for name, array in arrays.items()}
        models.append(ReadModel(role, "how", role, 0 if role == "retrained" else None, arrays))
    sets = {"asked": ["asked"], "none": ["none"], "(all)": ["asked", "more"], "(some)": ["asked", "none"]}
    write_judged_measures(tmp_path, "asked", find_measures("answered,loss"), models, sets, MARKS)
    rows = [row for row in read_table(tmp_path / JUDGED_MEASURES).to_pylist() if row["statistic"] == "worst_in_group"]
    assert {row["measure"] for row in rows} == {"answered"}
    found = {(row["dataset"], row["model"]): row["value"] for row in rows}
    shares = {"asked": (1.0, 0.5, 0.0), "(all)": (1.0, 2 / 3, 0.0)}
    assert found == {(name, role): value for name, values in shares.items()
                     for role, value in zip(VALUES, values, strict=True)}  # fmt: skip
