"""The picture of latent spaces, from points whose places are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from lightning_untrac.results.judged import JudgedModel, JudgedSet
from lightning_untrac.results.judged_latent import SHOWN, plot_latent, save_latent_plot
from lightning_untrac.results.judged_section import LATENT, judged_section, save_judged_plots
from lightning_untrac.results.style import INK, PALETTE
from lightning_untrac.tables.latent import JUDGED_LATENT, judged_latent_schema
from lightning_untrac.tables.measurements import filled, replace_rows

CLASSES = ("garden", "kitchen", "weather")
KEPT, GONE = 30, 6


def judged_of(names: list[str]) -> JudgedSet:
    models = [JudgedModel("run/model", "evaluate", "original", {})]
    models += [JudgedModel(f"run/unlearned-secret-{name}", "how", "unlearned", {}) for name in names]
    return JudgedSet("secret", 2, models, [], ["secret"])


def write_points(folder: Path, judged: JudgedSet, projection: str = "pca") -> pd.DataFrame:
    """Classes at the corners of a triangle; what is forgotten is among them."""
    corners = np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    classes = np.arange(KEPT + GONE) % len(CLASSES)
    points = corners[classes] + 0.1 * np.random.default_rng(0).standard_normal((len(classes), 2))
    columns: dict[str, Any] = {"dataset": ["news"] * KEPT + ["secret"] * GONE, "example": np.arange(len(classes))}
    columns |= {"class": classes, "label": [CLASSES[one] for one in classes], "x": points[:, 0], "y": points[:, 1]}
    rows = [(one.model, one.role, None) for one in judged.models] + [("run/retrained-secret/seed-3", "retrained", 3)]
    import pyarrow as pa

    state = {"method": "how", "forget_set": "secret", "projection": projection}
    state |= {"share": 0.625} if projection == "pca" else {}
    tables = [
        filled(judged_latent_schema(), {**state, "model": model, "role": role, "seed": seed}, columns)
        for model, role, seed in rows
    ]
    replace_rows(folder, JUDGED_LATENT, {"forget_set": "secret"}, pa.concat_tables(tables))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def test_a_panel_a_model_with_the_forgotten_marked(tmp_path: Path) -> None:
    judged = judged_of(["deepcut", "ascent"])
    points = write_points(tmp_path, judged)
    figure = plot_latent(judged, points)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "the original", "deepcut", "ascent", "retrained (seed 3)",
    ]  # fmt: skip
    for axes in figure.axes:
        assert axes.get_title(loc="right") == "62%"
        small, large = axes.collections
        assert [len(small.get_offsets()), len(large.get_offsets())] == [KEPT, GONE]  # type: ignore[arg-type]
        assert small.get_sizes()[0] < large.get_sizes()[0]  # type: ignore[attr-defined]
        assert {to_hex(one) for one in large.get_edgecolors()} == {INK}  # type: ignore[attr-defined]
        assert [to_hex(one) for one in large.get_facecolors()[:3]] == [one.lower() for one in PALETTE[:3]]  # type: ignore[attr-defined]
        # Each class is named where its retained examples are.
        assert {text.get_text(): text.xy[1] > 0 for text in axes.texts} == {
            "garden": True, "kitchen": False, "weather": False,
        }  # fmt: skip
        assert axes.get_xlim() == figure.axes[0].get_xlim()
        assert axes.get_ylim() == figure.axes[0].get_ylim()


def test_of_many_models_the_first_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    judged = judged_of([f"way-{place}" for place in range(SHOWN + 3)])
    figure = plot_latent(judged, write_points(tmp_path, judged))
    assert len(figure.axes) == SHOWN + 2
    assert f"{SHOWN} of {SHOWN + 3} unlearned models" in " ".join(text.get_text() for text in figure.texts).replace(
        "\n", " "
    )


def test_a_curved_map_says_so_and_no_share(tmp_path: Path) -> None:
    judged = judged_of(["deepcut"])
    figure = plot_latent(judged, write_points(tmp_path, judged, "umap"))
    assert "UMAP" in figure.texts[1].get_text()
    assert not figure.axes[0].get_title(loc="right")


def test_the_page_shows_it_without_the_models(tmp_path: Path) -> None:
    judged = judged_of(["deepcut"])
    assert save_latent_plot(tmp_path, judged) is None
    write_points(tmp_path, judged)
    drawn = save_judged_plots(tmp_path, judged)
    assert drawn[LATENT].name == "judged_secret_latent.png"
    section = judged_section([judged], {"secret": drawn})
    assert section.partition("Latent space")[2].count("data:image/png") == 1
    assert save_latent_plot(tmp_path, JudgedSet("another", 2, judged.models, [], [])) is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_or_two_are_drawn_as_well(tmp_path: Path, count: int) -> None:
    judged = judged_of(["deepcut"])
    points = write_points(tmp_path, judged)
    figure = plot_latent(judged, points[points["class"] < count])
    assert len(figure.axes[0].texts) == count
