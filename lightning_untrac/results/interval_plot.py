"""The picture of intervals: what chance leaves of each influence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.results.chance import chance_title
from lightning_untrac.results.figures import add_heading, part_title, plain_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.panels import panel_grid
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, shorten_all, unit_title
from lightning_untrac.results.uncertainty import InfluenceIntervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_AT_MOST = 16
"""Corpora of a panel; of more, the strongest are shown, and the panel says how many are not."""


def plot_intervals(intervals: InfluenceIntervals, test_sets: Sequence[str] | None = None) -> Figure:
    """A panel a test set, a line a corpus, the strongest on top: its influence and the 95 % interval.

    Corpora of a panel that share a letter cannot be told apart; those in grey not from zero either.

    Args:
        intervals: Of one method.
        test_sets: Order and choice of the panels; all of them if ``None``.

    Returns:
        The figure.
    """
    matrix = intervals.matrix
    test_sets = list(matrix.test_sets if test_sets is None else test_sets)
    shown = min(SHOWN_AT_MOST, len(matrix.corpora))
    with plain_text():
        figure, panels = panel_grid(len(test_sets))
        width, height = figure.get_size_inches()
        rows = len({round(axes.get_subplotspec().rowspan.start) for axes in panels})  # type: ignore[union-attr]
        figure.set_size_inches(width * 1.1, max(height, rows * (0.7 + 0.25 * shown)))
        for axes, test_set in zip(panels, test_sets, strict=True):
            _panel(axes, intervals, test_set)
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=0.2)  # letters stand beside the panels
        figure.supxlabel(f"influence ({unit_title(matrix.unit)})", fontsize=10)
        add_heading(
            figure,
            f"{method_title(matrix.method)}: what can be told apart",
            f"95 % intervals from {chance_title(intervals)}  \u00b7  letters at the right: two corpora of a panel that "
            "share one (a and ab) cannot be told apart, two that share none (a and b) can  \u00b7  grey: cannot be "
            "told from zero (Holm, 5 % of each panel)"
            + "".join(
                f"  \u00b7  {part}" for part in [part_title(len(test_sets), len(matrix.test_sets), "test sets")] if part
            ),
        )
    return figure


def _panel(axes: Axes, intervals: InfluenceIntervals, test_set: str) -> None:
    matrix = intervals.matrix
    column = matrix.test_sets.index(test_set)
    letters, away = intervals.letters(test_set, SHOWN_AT_MOST), set(intervals.away_from_zero(test_set))
    names = list(letters)
    short = shorten_all(matrix.corpora, 18)
    axes.set_title(shorten(test_set, 28), loc="left", fontsize=11, fontweight="bold")
    if not names:
        axes.text(0.5, 0.5, "no interval", ha="center", va="center", color=MUTED, transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    rows = [matrix.corpora.index(name) for name in names]
    low, high = intervals.low[rows, column], intervals.high[rows, column]
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        colour = PALETTE[0] if name in away else GREY
        axes.plot([low[place], high[place]], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(matrix.values[row, column], place, "o", color=colour, markersize=4.5)
        axes.annotate(
            letters[name], (1, place), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(np.arange(len(names)), [short[name] for name in names], fontsize=9, color=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=5)
    if (hidden := int(intervals.known[:, column].sum()) - len(names)) > 0:
        axes.set_title(f"{hidden} more not shown", loc="right", fontsize=9, color=MUTED)
