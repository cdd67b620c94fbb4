"""ROC curves of a judgement: read from the table, and drawn beside the retrained models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lightning_untrac.results.colours import RETRAINED_COLOUR
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.results.memorised import MemorisedSet, find_memorised
from lightning_untrac.results.roc_plot import plot_roc, roc_curves, save_roc_plot
from lightning_untrac.tables.files import write_table
from lightning_untrac.tables.memorisation import (
    MEMORISATION,
    MEMORISATION_SUMMARY,
    memorisation_schema,
    memorisation_summary_schema,
    read_memorisation,
)

describe_measure("attack_mine", MeasureText("Attack by mine", direction="lower"))
ROLES = {"model": "original", "unlearned-secrets-a": "unlearned", "seed-0": "retrained", "seed-1": "retrained"}


def write(folder: Path, twins: bool = True) -> None:
    """The original tells every secret from unseen text, all others none."""
    chance, rows, summary = np.random.default_rng(0), [], []
    for model, role in ROLES.items():
        state: dict[str, Any] = {"model": model, "method": "how", "role": role, "forget_set": "secrets"}
        level = -20.0 if role == "original" else 0.0  # a loss: lower is known better
        for dataset, shift in (("secrets", level), *([("twins", 0.0)] if twins else [])):
            for example, value in enumerate(chance.standard_normal(30) + shift):
                more = {"dataset": dataset, "example": example, "value": value, "weight": 3.0, "unit": ""}
                rows += [{**state, **more, "measure": name} for name in ("attack_mine", "loss")]
        for measure, statistic in (("loss", "survivors"), ("attack_mine", "auc")):
            own = {"dataset": "secrets", "measure": measure, "statistic": statistic, "value": 0.0, "unit": ""}
            summary.append({**state, **own, "retrained": 2})
    write_table(folder / MEMORISATION, pa.Table.from_pylist(rows, schema=memorisation_schema()))
    table = pa.Table.from_pylist(summary, schema=memorisation_summary_schema())
    write_table(folder / MEMORISATION_SUMMARY, table)


@pytest.fixture
def memorised(tmp_path: Path) -> MemorisedSet:
    write(tmp_path)
    (found,) = find_memorised(tmp_path)
    return found


def test_lower_scores_count_as_known_where_the_measure_says_so(tmp_path: Path, memorised: MemorisedSet) -> None:
    table = read_memorisation(tmp_path)
    assert table is not None
    curves = roc_curves(table, memorised)
    assert list(curves) == ["attack_mine"]  # the loss has no AUC of its own
    assert set(curves["attack_mine"]) == set(ROLES)
    assert curves["attack_mine"]["model"].at(np.array([0.0])) == 1.0
    assert 0.2 < curves["attack_mine"]["seed-0"].at(np.array([0.5]))[0] < 0.8


def test_each_attack_has_a_logarithmic_and_a_linear_panel(tmp_path: Path, memorised: MemorisedSet) -> None:
    table = read_memorisation(tmp_path)
    assert table is not None
    figure = plot_roc(memorised, roc_curves(table, memorised))
    logarithmic, linear = figure.axes
    assert (logarithmic.get_xscale(), logarithmic.get_yscale()) == ("log", "log")
    assert (linear.get_xscale(), linear.get_yscale()) == ("linear", "linear")
    assert logarithmic.get_xlim()[0] == logarithmic.get_ylim()[0] == pytest.approx(1 / 60)  # half of one in 30
    for axes in figure.axes:
        greys = [line for line in axes.get_lines() if line.get_color() == RETRAINED_COLOUR]
        assert len(greys) == 2
        # The band reaches from one retrained model to the other.
        (band,) = axes.collections
        heights = np.unique(np.round(band.get_paths()[0].vertices[:, 1], 9))
        drawn = np.unique(np.round(np.concatenate([line.get_ydata() for line in greys]), 9))
        assert set(heights) <= set(drawn)
        perfect = [line for line in axes.get_lines() if (np.asarray(line.get_ydata()) == 1).all()]
        assert len(perfect) == 1  # the original's
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["the original", "a", "retrained (2)"]
    assert save_roc_plot(tmp_path, memorised) == tmp_path / "plots" / "roc_secrets.png"


def test_without_unseen_text_there_is_no_curve(tmp_path: Path) -> None:
    write(tmp_path, twins=False)
    (found,) = find_memorised(tmp_path)
    assert save_roc_plot(tmp_path, found) is None
    assert not (tmp_path / "plots").exists()
