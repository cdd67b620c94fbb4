"""The picture of a matrix, and all pictures of a run as PNG files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.results.colours import colour_shares, colours_title
from lightning_untrac.results.figures import (
    add_heading,
    file_name,
    new_figure,
    part_title,
    plain_text,
    save_figure,
    seeds_title,
)
from lightning_untrac.results.matrix import InfluenceMatrix, influence_matrix, methods_of
from lightning_untrac.results.methods import REFERENCE, method_title
from lightning_untrac.results.style import DIVERGING, INK, MUTED, format_number, scale_of, shorten_all, unit_title
from lightning_untrac.results.uncertainty import InfluenceIntervals, influence_intervals
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.schema import InfluenceRow

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SHOWN_TEST_SETS: Final = 12
"""Panels or columns of a picture."""

SHOWN_CORPORA: Final = 40
"""Rows of a heat map."""

LARGE: Final = 600
"""Cells of a matrix that is not read as a whole: then one method gets panels, and :data:`SHOWN_PANELS` of them."""

SHOWN_PANELS: Final = 6

_DPI_LARGE: Final = 110
"""Pixels per inch of the pictures of a large matrix, which are large enough as they are."""


def plot_matrix(matrix: InfluenceMatrix) -> Figure:
    """Heat map of a matrix: corpora as rows, test sets as columns.

    Each column has its own colour scale (values of different test sets are not comparable), its strongest corpus is
    outlined, and flagged cells are hatched.

    Args:
        matrix: K corpora x M test sets.

    Returns:
        The figure.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    whole, matrix = matrix, most_telling(matrix)
    rows, columns = matrix.values.shape
    with plain_text():
        longest = max(map(len, shorten_all(matrix.corpora).values()))
        width = max(6.4, 0.5 + 0.085 * longest + 1.15 * columns)
        figure = new_figure(width, 0.75 + 0.36 * rows)
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list("influence", DIVERGING)
        strongest, tints, all_usable = matrix.strongest(), colour_shares(matrix), matrix.usable
        filled, faces = [], []
        for j in range(columns):
            column = matrix.values[:, j]
            largest = scale_of(column[all_usable[:, j]]) or scale_of(column)
            for i in range(rows):
                usable = bool(all_usable[i, j])
                share = float(tints[i, j]) if usable else 0.0
                if usable:
                    filled.append(
                        ((j + 0.03, i + 0.05), (j + 0.97, i + 0.05), (j + 0.97, i + 0.95), (j + 0.03, i + 0.95))
                    )
                    faces.append(colours(0.5 + 0.5 * share))
                else:
                    hatched = Rectangle(
                        (j + 0.03, i + 0.05),
                        0.94,
                        0.9,
                        facecolor="white",
                        edgecolor="#c7c2bd",
                        hatch="////",
                        linewidth=0,
                    )
                    axes.add_patch(hatched)
                best = matrix.corpora[i] == strongest[j]
                text = axes.text(
                    j + 0.5,
                    i + 0.5,
                    format_number(float(column[i]), largest if usable else None),
                    ha="center",
                    va="center_baseline",
                    fontsize=10,
                    fontweight="bold" if best else "normal",
                    color="white" if abs(share) > 0.72 else INK if usable else MUTED,
                    bbox=None if usable else {"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                )
                text.set_in_layout(False)  # it lies within its cell, and measuring hundreds takes long
                if best:
                    axes.add_patch(
                        Rectangle((j + 0.03, i + 0.05), 0.94, 0.9, fill=False, edgecolor=INK, linewidth=1.8, zorder=3)
                    )
        axes.add_collection(PolyCollection(filled, facecolors=faces, edgecolors="none", linewidths=0))
        _matrix_axes(axes, matrix)
        flagged = bool((~matrix.usable).any())
        add_heading(
            figure,
            f"{method_title(matrix.method)}: how much each corpus helps the model to produce each test set",
            f"{unit_title(matrix.unit)}, {seeds_title(matrix.num_seeds)}  ·  {colours_title(matrix)}; "
            "colours per column  ·  outlined: strongest"
            + ("  ·  hatched: not to be trusted" if flagged else "")
            + "".join(
                f"  ·  {part}"
                for part in (
                    part_title(rows, len(whole.corpora), "corpora, those that matter most"),
                    part_title(columns, len(whole.test_sets), "test sets"),
                )
                if part
            ),
        )
    return figure


def _matrix_axes(axes: Axes, matrix: InfluenceMatrix) -> None:
    rows, columns = matrix.values.shape
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    short, rows_short = shorten_all(matrix.test_sets, 22), shorten_all(matrix.corpora)
    names = [short[name] for name in matrix.test_sets]
    slanted = max(map(len, names)) > 13 and columns > 1
    axes.set_xticks(np.arange(columns) + 0.5, names, fontsize=10.5, fontweight="bold")
    axes.set_yticks(np.arange(rows) + 0.5, [rows_short[name] for name in matrix.corpora], fontsize=10.5)
    axes.xaxis.tick_top()
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=28, ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, pad=5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def save_plots(
    folder: str | os.PathLike[str],
    table: pa.Table | Sequence[InfluenceRow] | None = None,
    reference: str = REFERENCE,
    intervals: Mapping[str, InfluenceIntervals] | None = None,
    headline: str | None = None,
    matrices: Mapping[str, InfluenceMatrix] | None = None,
) -> list[Path]:
    """Draw everything that a run's influences allow into ``<folder>/plots/``.

    Of many test sets :data:`SHOWN_TEST_SETS` get a panel, of many corpora :data:`SHOWN_CORPORA` a row: a picture of
    hundreds is read by nobody. Each picture says how many it shows, and the tables hold all.

    Args:
        folder: The run's folder.
        table: Its influences; ``influence.parquet`` in the folder if ``None``.
        reference: The method that the scatter plots hold the others against.
        intervals: By method, of those that have any; computed where ``None``.
        headline: The method that gets its panels even where a matrix has more than :data:`LARGE` cells; the first one
            if ``None``.
        matrices: By method; computed where ``None``.

    Returns:
        The files: ``matrix_<method>.png`` for every method, ``intervals_<method>.png`` where chance can be told,
        ``trajectory_<method>.png`` where there are readings at two steps or more, and ``scatter_<method>.png`` where
        there is a reference.
    """
    from lightning_untrac.results.interval_plot import plot_intervals
    from lightning_untrac.results.panels import has_trajectory, plot_trajectory
    from lightning_untrac.results.scatter import plot_scatter

    if table is None:
        table = read_table(Path(folder) / "influence.parquet")
    plots = Path(folder) / "plots"
    matrices = matrices_of(table) if matrices is None else matrices
    if intervals is None:
        found = {method: influence_intervals(table, method) for method in matrices}
        intervals = {method: chance for method, chance in found.items() if chance is not None}
    large = any(matrix.values.size > LARGE for matrix in matrices.values())
    in_panels = [headline or next(iter(matrices))] if large else list(matrices)
    dpi = {"dpi": _DPI_LARGE} if large else {}
    paths = []
    for method, matrix in matrices.items():
        paths.append(save_figure(plot_matrix(matrix), plots / f"matrix_{file_name(method)}.png", **dpi))
        if method not in in_panels:
            continue
        shown = matrix.test_sets[: SHOWN_PANELS if large else SHOWN_TEST_SETS]
        if method in intervals:
            figure = plot_intervals(intervals[method], shown)
            paths.append(save_figure(figure, plots / f"intervals_{file_name(method)}.png", **dpi))
        if has_trajectory(table, method):
            figure = plot_trajectory(table, method, shown, part_title(len(shown), len(matrix.test_sets), "test sets"))
            paths.append(save_figure(figure, plots / f"trajectory_{file_name(method)}.png", **dpi))
        if reference in matrices and method != reference:
            truth = matrices[reference]
            if len(set(matrix.corpora) & set(truth.corpora)) >= 2 and set(shown) & set(truth.test_sets):
                figure = plot_scatter(matrix, truth, shown)
                paths.append(save_figure(figure, plots / f"scatter_{file_name(method)}.png", **dpi))
    return paths


def matrices_of(table: pa.Table | Sequence[InfluenceRow]) -> dict[str, InfluenceMatrix]:
    """The matrix of every method that a table holds, in their order.

    Args:
        table: Influences.
    """
    return {method: influence_matrix(table, method) for method in methods_of(table)}


def most_telling(matrix: InfluenceMatrix) -> InfluenceMatrix:
    """The part of a large matrix that a picture shows: the corpora with the largest share of any column shown."""
    shown = matrix.select(matrix.corpora, matrix.test_sets[:SHOWN_TEST_SETS])
    if len(shown.corpora) <= SHOWN_CORPORA:
        return shown
    values = np.where(shown.usable, np.abs(shown.values), 0.0)
    shares = values / np.maximum(values.max(0, keepdims=True), 1e-300)
    rows = sorted(np.argsort(-shares.max(1), kind="stable")[:SHOWN_CORPORA].tolist())
    return shown.select([shown.corpora[row] for row in rows], shown.test_sets)
