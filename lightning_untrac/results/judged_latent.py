"""The picture of a judgement's latent spaces: a panel a model, with what was forgotten among what is retained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.results.figures import add_heading, file_name, new_figure, part_title, plain_text, save_figure
from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, shorten_all
from lightning_untrac.tables.judged import RETRAINED
from lightning_untrac.tables.latent import read_judged_latent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = 6
"""Unlearned models with a panel of their own, beside the original and a retrained one."""

_OUTER: Final = 0.003
"""Share of the points on each side that may lie outside, and are drawn at the edge."""

LOOK: Final = """<p class="muted small">Look at the points with a dark edge, the forgotten texts. Under the original
they lie in the midst of their class, as what was trained on does. Under the retrained model, the last one, they lie
where texts lie that it never saw: most with their class, some with another, many between. An unlearned model should
look like that. If they stand by themselves, or the classes have moved or run into each other, it can be told from a
retrained one, and that shows what was forgotten. The plane is only a part of the space,
as its share says, and centred: a direction that all texts have taken in common shows in the cosines alone.</p>"""


def save_latent_plot(folder: Path, judged: JudgedSet) -> Path | None:
    """Draw the latent spaces of a judgement into ``<folder>/plots/``; None where they were not read.

    Args:
        folder: of the run.
        judged: the models of one forget set.
    """
    table = read_judged_latent(folder)
    if table is None:
        return None
    frame = table.to_pandas()
    frame = frame[frame["forget_set"] == judged.forget_set]
    if frame.empty:
        return None
    name = f"judged_{file_name(judged.forget_set)}_latent.png"
    return save_figure(plot_latent(judged, frame), folder / "plots" / name)


def plot_latent(judged: JudgedSet, points: pd.DataFrame) -> Figure:
    """A panel a model: small points are retained, those with a dark edge forgotten; a colour a class.

    Args:
        judged: the models of one forget set.
        points: rows of ``judged_latent.parquet`` of that forget set.
    """
    there = set(points["model"])
    unlearned = [one.model for one in judged.unlearned if one.model in there]
    again = points.loc[points["role"] == RETRAINED, "model"].iloc[:1].tolist()
    shown = [*(one.model for one in judged.models if one.is_original), *unlearned[:SHOWN], *again]
    labels = {**judged.labels, **{path: f"retrained ({Path(path).name.replace('-', ' ')})" for path in again}}
    titles = shorten_all([labels[path] for path in shown], 26)
    classes = dict(points[["class", "label"]].drop_duplicates().sort_values("class").itertuples(index=False, name=None))
    colours = {one: PALETTE[place] if place < len(PALETTE) else GREY for place, one in enumerate(classes)}
    limits = _limits(points[points["model"].isin(shown)])
    with plain_text():
        figure, panels = _grid(len(shown), limits)
        for axes, path in zip(panels, shown, strict=True):
            mine = points[points["model"] == path]
            _panel(axes, mine, judged.forget_set, classes, colours, limits)
            axes.set_title(titles[labels[path]], fontsize=10.5, fontweight="bold", loc="left", color=INK)
            if math.isfinite(share := float(mine["share"].iloc[0] or math.nan)):
                axes.set_title(f"{share:.0%}", fontsize=9, loc="right", color=MUTED)
        remark = part_title(len(unlearned[:SHOWN]), len(unlearned), "unlearned models")
        add_heading(figure, f"Latent spaces, before and after {shorten(judged.forget_set, 30)} was forgotten",
                    "  \u00b7  ".join(part for part in (*_caption(points), remark) if part))  # fmt: skip
    return figure


def _caption(points: pd.DataFrame) -> Sequence[str]:
    of_classes = ("colour: the right class", "small points: retained texts", "with a dark edge: forgotten")
    if points["projection"].iloc[0] == "umap":
        return (*of_classes, "UMAP of the original's retained texts, onto which every other model's space is turned "
                "and scaled by the same texts; distances far apart say little", "axes are shared")  # fmt: skip
    return (*of_classes, "plane: the two principal components of the original's retained texts, onto which every other "
            "model's space is turned and scaled by the same texts, its angles kept", "axes are shared",
            "percent: share of the variance that the plane shows")  # fmt: skip


def _limits(points: pd.DataFrame) -> list[tuple[float, float]]:
    """Of x and y, but for the outermost points."""
    found = []
    for axis in ("x", "y"):
        low, high = np.quantile(points[axis], [_OUTER, 1 - _OUTER])
        pad = 0.06 * (high - low) or 1.0
        found.append((float(low - pad), float(high + pad)))
    return found


def _grid(count: int, limits: Sequence[tuple[float, float]]) -> tuple[Figure, list[Axes]]:
    """Panels in which both axes have one scale."""
    (left, right), (low, high) = limits
    columns = count if count <= 4 else math.ceil(count / 2) if count <= 8 else 4
    rows = math.ceil(count / columns)
    figure = new_figure(max(7.2, 2.9 * columns), rows * (0.3 + 2.7 * min(1.6, (high - low) / (right - left))), pad=0.05)
    flat: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in flat[count:]:
        axes.remove()
    return figure, flat[:count]


def _panel(
    axes: Axes,
    points: pd.DataFrame,
    forget: str,
    classes: Mapping[int, str],
    colours: Mapping[int, str],
    limits: Sequence[tuple[float, float]],
) -> None:
    from matplotlib.patheffects import withStroke

    is_gone = points["dataset"] == forget
    style: dict[str, Any]
    for chosen, style in (
        (points[~is_gone], {"s": 7, "alpha": 0.4, "linewidths": 0, "zorder": 2}),
        (points[is_gone], {"s": 16, "alpha": 0.9, "linewidths": 0.7, "edgecolors": INK, "zorder": 3}),
    ):
        x, y = (chosen[axis].clip(*ends) for axis, ends in zip("xy", limits, strict=True))
        axes.scatter(x, y, c=[colours[one] for one in chosen["class"]], clip_on=False, **style)
    (left, right), (low, high) = limits
    for one, middle in points[~is_gone].groupby("class")[["x", "y"]].mean().iterrows():
        halo = [withStroke(linewidth=3.2, foreground="white")]
        text = shorten(classes[int(str(one))], 14)
        # Above the middle of the points, which it would hide, but within the panel.
        along, up = (middle["x"] - left) / (right - left), (middle["y"] - low) / (high - low) < 0.85
        side = "left" if along < 0.15 else "right" if along > 0.85 else "center"
        axes.annotate(text, (middle["x"], middle["y"]), (0, 11 if up else -11), textcoords="offset points", ha=side,
                      va="center", fontsize=9, fontweight="bold", color=colours[int(str(one))], path_effects=halo,
                      zorder=4)  # fmt: skip
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_aspect("equal", adjustable="box")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#d6d3d1")
