"""Prediction against retraining: a panel a test set, a point a corpus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.figures import add_heading, part_title, plain_text, seeds_title
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.panels import add_legend, panel_grid, ranked_colours
from lightning_untrac.results.style import GREY, INK, MINUS, MUTED, shorten, shorten_all, unit_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Where a label may stand: right or left of its point, above or below, and how far up or down; best places first.
_SIDES: Final = (
    *((1, 0, 1.0), (-1, 0, 1.0), (0, 1, 1.0), (0, -1, 1.0), (1, 1, 1.0), (-1, 1, 1.0), (1, -1, 1.0), (-1, -1, 1.0)),
    *((0, 1, 2.2), (0, -1, 2.2)),
)


#: With more corpora than this some name finds no room beside its point, so that a legend says the colours.
_MOST_LABELLED: Final = 4

#: Of more corpora than this only the coloured ones get their names.
_ALL_LABELLED: Final = 30


def plot_scatter(matrix: InfluenceMatrix, truth: InfluenceMatrix, test_sets: Sequence[str] | None = None) -> Figure:
    """What a method predicts against what retraining found: a panel a test set, a point a corpus.

    Args:
        matrix: Influences of the method.
        truth: Influences of the reference.
        test_sets: Order and choice of the panels; all that both have if ``None``.

    Returns:
        The figure, with the corpora and test sets that both have. Flagged cells are drawn hollow, at the edge if they
        lie far out, and are left out of the correlation.
    """
    corpora = [name for name in truth.corpora if name in matrix.corpora]
    shared = [name for name in truth.test_sets if name in matrix.test_sets]
    test_sets = [name for name in (shared if test_sets is None else test_sets) if name in shared]
    matrix, truth = matrix.select(corpora, test_sets), truth.select(corpora, test_sets)
    usable = matrix.usable & truth.usable
    drawn = np.isfinite(matrix.values) & np.isfinite(truth.values)
    colours, short = ranked_colours(truth), shorten_all(corpora, 20)
    labels = []
    with plain_text():
        figure, panels = panel_grid(len(test_sets))
        for j, axes in enumerate(panels):
            points = _draw(axes, truth.values[:, j], matrix.values[:, j], usable[:, j], [colours[c] for c in corpora])
            labels.append(
                [
                    (*points[k], short[corpora[k]])
                    for k in np.flatnonzero(drawn[:, j])
                    if len(corpora) <= _ALL_LABELLED or colours[corpora[k]] != GREY
                ]
            )
            axes.set_title(shorten(test_sets[j], 28), loc="left", fontsize=11, fontweight="bold", pad=20)
        name, reference = method_title(matrix.method), method_title(truth.method).lower()
        # On a panel's height there is room for a short name and its unit only.
        gap = "\n" if len(name) > 12 else " "
        figure.supylabel(f"{name}{gap}({unit_title(matrix.unit)})", fontsize=10)
        figure.supxlabel(f"{reference} ({unit_title(truth.unit)})", fontsize=10)
        if len(corpora) > _MOST_LABELLED:  # not every point will get its name
            add_legend(figure, colours)
        add_heading(
            figure,
            f"{name} against {reference}",
            f"r: Pearson's correlation over corpora  \u00b7  dashed: least squares  \u00b7  {name}: "
            f"{seeds_title(matrix.num_seeds)}, {reference}: {seeds_title(truth.num_seeds)}"
            + ("  \u00b7  hollow: flagged, left out of r" if (drawn & ~usable).any() else "")
            + "".join(f"  \u00b7  {part}" for part in [part_title(len(test_sets), len(shared), "test sets")] if part),
        )
        figure.draw_without_rendering()  # labels go where there is room, which only the finished layout tells
        for axes, named in zip(panels, labels, strict=True):
            _place_labels(axes, named)
    return figure


def _limits(values: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Limits of an axis that show the usable values; all values if there are none."""
    shown = values[usable] if usable.any() else values[np.isfinite(values)]
    if not len(shown):
        return -1.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    pad = 0.16 * (high - low) or abs(high) * 0.5 or 1.0
    return low - pad, high + pad


def _inside(value: float, low: float, high: float) -> float:
    """The value, or a place near the edge for one that lies outside the picture."""
    return float(np.clip(value, low + 0.04 * (high - low), high - 0.04 * (high - low)))


def _draw(
    axes: Axes,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    usable: npt.NDArray[np.bool_],
    colours: Sequence[str],
) -> list[tuple[float, float]]:
    """Draw the points of one panel and its correlation; returns where the points are."""
    from matplotlib.ticker import FuncFormatter

    from lightning_untrac.functional.correlation import pearson

    limits = _limits(x, usable), _limits(y, usable)
    axes.axhline(0, color="#d6d3d1", linewidth=0.9, zorder=1)
    axes.axvline(0, color="#d6d3d1", linewidth=0.9, zorder=1)
    points = [(_inside(x[k], *limits[0]), _inside(y[k], *limits[1])) for k in range(len(colours))]
    style: dict[str, Any] = {
        "markersize": 7.5,
        "markeredgewidth": 1.3,
        "clip_on": False,
        "linestyle": "none",
        "marker": "o",
    }
    order = sorted(range(len(colours)), key=lambda k: colours[k] != GREY)  # grey ones below the others
    for (colour, sound), alike in groupby(order, key=lambda k: (colours[k], bool(usable[k]))):
        across, up = zip(*(points[k] for k in alike), strict=True)
        axes.plot(across, up, color=colour, markerfacecolor=colour if sound else "white", **style)
    r = pearson(x[usable], y[usable])
    if math.isfinite(r):
        slope = r * y[usable].std() / x[usable].std()
        ends = np.array([x[usable].min(), x[usable].max()])
        line = y[usable].mean() + slope * (ends - x[usable].mean())
        axes.plot(ends, line, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    for axis in (axes.xaxis, axes.yaxis):  # a common factor would lie on the correlation
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", MINUS)))
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    shown = f"r = {r:.2f}".replace("-", "\u2212") if math.isfinite(r) else "r undefined"
    below = f"{shown}, n = {int(usable.sum())}"
    axes.text(0, 1.025, below, transform=axes.transAxes, ha="left", va="bottom", fontsize=9.5, color=MUTED)
    return points


def _place_labels(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write a name beside each point where it covers no other; names that fit nowhere are left out."""
    from matplotlib.patheffects import withStroke

    pixel = axes.figure.dpi / 72
    size = 8.5
    frame = axes.get_window_extent()
    centres = [tuple(axes.transData.transform((x, y))) for x, y, _ in points]
    taken = [(cx - 5 * pixel, cy - 5 * pixel, cx + 5 * pixel, cy + 5 * pixel) for cx, cy in centres]
    middle = ((frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2)
    order = sorted(range(len(points)), key=lambda k: -math.dist(centres[k], middle))  # outliers first: they matter most
    for k in order:
        (cx, cy), name = centres[k], points[k][2]
        width, height, gap = 0.6 * size * len(name) * pixel, 1.15 * size * pixel, 7 * pixel
        # Where a legend says the colours, a name that would stand nearer to another dot is better left out.
        for across, up, far in _SIDES if len(points) <= _MOST_LABELLED else _SIDES[:4]:
            left = cx + (gap if across > 0 else -gap - width if across < 0 else -width / 2)
            bottom = cy + (gap * far if up > 0 else -gap * far - height if up < 0 else -height / 2)
            box = (left, bottom, left + width, bottom + height)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
            others = (t for i, t in enumerate(taken) if i != k)
            if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in others):
                axes.annotate(
                    name,
                    points[k][:2],
                    xytext=(7 * across, 7 * up * far),
                    textcoords="offset points",
                    ha=("center", "left", "right")[across],
                    va=("center", "bottom", "top")[up],
                    fontsize=size,
                    color=INK,
                    path_effects=[withStroke(linewidth=2.2, foreground="white")],
                ).set_in_layout(False)
                taken.append(box)
                break
