"""Pictures of examinations, from rows whose lines are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex

from lightning_untrac.results.colours import RETRAINED_COLOUR
from lightning_untrac.results.examined_plot import MOST_PANELS, plot_examined, save_examined_plots
from lightning_untrac.results.style import INK, PALETTE

MODELS = {
    "run/unlearned-secret-b": "unlearned",
    "run/unlearned-secret": "unlearned",
    "run/model": "original",
    "run/retrained-secret/seed-0": "retrained",
    "run/retrained-secret/seed-1": "retrained",
}
FACTS = {
    "examinations": {
        "melted": {"title": "Melting", "axis": "warmth", "measure": "mass"},
        "weighed": {"title": "Weighing", "axis": "", "measure": "mass"},
    },
    "measures": {"mass_of_tests": {"title": "Mass", "unit": "grams"}},
}


def rows_of(datasets: tuple[str, ...] = ("news", "secret"), **more: Any) -> list[dict[str, Any]]:
    state = {"forget_set": "secret", "examination": "melted", "statistic": "mean", "condition": ""}
    return [
        {"model": model, "method": "how", "role": role, "seed": None, "measure": "mass_of_tests", "dataset": dataset,
         "at": float(at), "value": at + place, "ci_low": at + place - 1, "ci_high": None if at == 2 else at + place + 1,
         **state, **more}
        for place, (model, role) in enumerate(MODELS.items()) for dataset in datasets for at in (2, 0, 1)
    ]  # fmt: skip


def test_a_line_a_model_and_a_panel_a_dataset(tmp_path: Path) -> None:
    found = save_examined_plots(tmp_path, "secret", rows_of(), FACTS)
    assert found == {"melted": tmp_path / "plots" / "examined_secret_melted.png"}
    assert found["melted"].stat().st_size > 1000
    figure = plot_examined("secret", "Melting", "warmth", rows_of())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["secret", "news"]
    for axes in figure.axes:
        assert axes.get_ylabel() == "Mass (grams)"
        lines = {to_hex(line.get_color()): line for line in axes.lines[1:]}
        assert set(lines) == {to_hex(colour) for colour in (INK, *PALETTE[:2], RETRAINED_COLOUR)}
        first = lines[to_hex(PALETTE[0])]  # unlearned-secret, which the judgement names first
        assert first.get_xdata().tolist() == [0, 1, 2]
        assert first.get_ydata().tolist() == [1, 2, 3]
        assert len(axes.lines) == 1 + len(MODELS)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    names = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert names == ["the original", "unlearned-secret", "unlearned-secret-b", "retrained (2)"]
    assert figure.get_supxlabel() == "warmth"


def test_conditions_have_panels_of_their_own() -> None:
    rows = rows_of(("secret",)) + rows_of(("secret",), condition="cold")
    figure = plot_examined("secret", "Melting", "warmth", rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["secret", "secret, cold"]


def test_what_has_no_axis_has_no_picture(tmp_path: Path) -> None:
    assert save_examined_plots(tmp_path, "secret", rows_of(examination="weighed"), FACTS) == {}
    assert save_examined_plots(tmp_path, "secret", rows_of(at=None), FACTS) == {}
    assert save_examined_plots(tmp_path, "secret", rows_of(at=1.0), FACTS) == {}
    assert save_examined_plots(tmp_path, "secret", rows_of(statistic="slope"), FACTS) == {}
    assert save_examined_plots(tmp_path, "secret", rows_of(), {}) == {}
    assert not (tmp_path / "plots").exists()


def test_of_many_panels_some_are_shown() -> None:
    names = (*(f"corpus-{number}" for number in range(MOST_PANELS)), "secret")
    figure = plot_examined("secret", "Melting", "warmth", rows_of(names))
    assert len(figure.axes) == MOST_PANELS
    assert figure.axes[0].get_title(loc="left") == "secret"
    assert any(f"{MOST_PANELS} of {len(names)} panels" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_breaks_nothing(value: float, tmp_path: Path) -> None:
    rows = [{**row, "value": value, "ci_low": None, "ci_high": None} if row["at"] == 1 else row for row in rows_of()]
    assert save_examined_plots(tmp_path, "secret", rows, FACTS)
