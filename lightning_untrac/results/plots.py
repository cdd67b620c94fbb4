"""The picture of a matrix, and all pictures of a run as PNG files."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.results.files import atomic_path, read_table
from lightning_untrac.results.matrix import InfluenceMatrix, influence_matrix, methods_of
from lightning_untrac.results.schema import InfluenceRow
from lightning_untrac.results.style import (
    DIVERGING,
    INK,
    MUTED,
    format_number,
    method_title,
    scale_of,
    shorten_all,
    unit_title,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw names as they are: a dollar sign in a corpus name is no formula, a missing glyph no reason to fail."""
    import matplotlib as mpl
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
    settings: Any = {
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "font.family": [name for name in fonts if name in known] or ["sans-serif"],
        "text.color": INK,
        "axes.labelcolor": INK,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float, pad: float = 0.04) -> Figure:
    """A figure of that many inches, laid out by its content with ``pad`` inches around each part, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def seeds_title(num_seeds: int) -> str:
    """How many seeds are behind the numbers."""
    return "one seed" if num_seeds == 1 else f"mean of {num_seeds} seeds"


def plot_matrix(matrix: InfluenceMatrix) -> Figure:
    """Heat map of a matrix: corpora as rows, test sets as columns.

    Each column has its own colour scale (values of different test sets are not comparable), its strongest corpus is
    outlined, and flagged cells are hatched.

    Args:
        matrix: K corpora x M test sets.

    Returns:
        The figure.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    rows, columns = matrix.values.shape
    with plain_text():
        longest = max(map(len, shorten_all(matrix.corpora).values()))
        width = max(6.4, 0.5 + 0.085 * longest + 1.15 * columns)
        figure = new_figure(width, 0.75 + 0.36 * rows)
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list("influence", DIVERGING)
        strongest = matrix.strongest()
        for j in range(columns):
            column = matrix.values[:, j]
            largest = scale_of(column[matrix.usable[:, j]]) or scale_of(column)
            for i in range(rows):
                usable = bool(matrix.usable[i, j])
                share = float(column[i]) / largest if largest and usable else 0.0
                axes.add_patch(
                    Rectangle(
                        (j + 0.03, i + 0.05),
                        0.94,
                        0.9,
                        facecolor=colours(0.5 + 0.5 * share) if usable else "white",
                        edgecolor="none" if usable else "#c7c2bd",
                        hatch=None if usable else "////",
                        linewidth=0,
                    )
                )
                best = matrix.corpora[i] == strongest[j]
                axes.text(
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
                if best:
                    axes.add_patch(
                        Rectangle((j + 0.03, i + 0.05), 0.94, 0.9, fill=False, edgecolor=INK, linewidth=1.8, zorder=3)
                    )
        _matrix_axes(axes, matrix)
        flagged = bool((~matrix.usable).any())
        add_heading(
            figure,
            f"{method_title(matrix.method)}: how much each corpus helps the model to produce each test set",
            f"{unit_title(matrix.unit)}, {seeds_title(matrix.num_seeds)}  ·  red: helps, blue: works against; "
            "colours per column  ·  outlined: strongest" + ("  ·  hatched: not to be trusted" if flagged else ""),
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


def add_heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and subtitle, flush left and wrapped, in a strip above everything else.

    Args:
        figure: Where to write; it grows by the height of the strip.
        title: In bold.
        subtitle: In grey below.
    """
    import textwrap

    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = figure.get_size_inches()
    room = width - 0.3
    lines = textwrap.wrap(title, max(24, int(room * 9.6)))
    glued = subtitle.replace("  \u00b7  ", "\u00a0\u00a0\u00b7  ")  # no line starts with the separator
    small = [line.rstrip("\u00a0\u00b7 ") for line in textwrap.wrap(glued, max(30, int(room * 13.4)))]
    strip = 0.16 + 0.235 * len(lines) + 0.185 * len(small) + 0.1
    height += strip
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.1 / width, 0.06 / height, 1.0 - 0.2 / width, 1.0 - strip / height))
    left, top = 0.15 / width, 1.0 - 0.16 / height
    figure.text(left, top, "\n".join(lines), ha="left", va="top", fontsize=12.5, fontweight="bold", linespacing=1.25)
    below = top - (0.235 * len(lines) + 0.02) / height
    figure.text(left, below, "\n".join(small), ha="left", va="top", fontsize=9.5, color=MUTED, linespacing=1.3)


def file_name(method: str) -> str:
    """A method's name as part of a file name.

    >>> file_name("leave_out (other seeds)")
    'leave_out_other_seeds'
    """
    return re.sub(r"[^\w.-]+", "_", method).strip("_.") or "method"


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 160) -> Path:
    """Write a figure as PNG, whole or not at all; equal figures give equal bytes.

    Args:
        figure: What to draw.
        path: Where the file is to appear.
        dpi: Pixels per inch.

    Returns:
        The path.
    """
    with plain_text(), atomic_path(path) as beside:
        figure.savefig(beside, format="png", dpi=dpi, metadata={"Software": None})
    return Path(path)


def save_plots(
    folder: str | os.PathLike[str],
    table: pa.Table | Sequence[InfluenceRow] | None = None,
    reference: str = "leave_out",
) -> list[Path]:
    """Draw everything that a run's influences allow into ``<folder>/plots/``.

    Args:
        folder: The run's folder.
        table: Its influences; ``influence.parquet`` in the folder if ``None``.
        reference: The method that the scatter plots hold the others against.

    Returns:
        The files: ``matrix_<method>.png`` for every method, ``trajectory_<method>.png`` where there are readings at
        two steps or more, and ``scatter_<method>.png`` where there is a reference.
    """
    from lightning_untrac.results.panels import has_trajectory, plot_trajectory
    from lightning_untrac.results.scatter import plot_scatter

    if table is None:
        table = read_table(Path(folder) / "influence.parquet")
    plots = Path(folder) / "plots"
    methods = methods_of(table)
    paths = []
    for method in methods:
        matrix = influence_matrix(table, method)
        paths.append(save_figure(plot_matrix(matrix), plots / f"matrix_{file_name(method)}.png"))
        if has_trajectory(table, method):
            figure = plot_trajectory(table, method)
            paths.append(save_figure(figure, plots / f"trajectory_{file_name(method)}.png"))
        if reference in methods and method != reference:
            truth = influence_matrix(table, reference)
            if len(set(matrix.corpora) & set(truth.corpora)) >= 2 and set(matrix.test_sets) & set(truth.test_sets):
                figure = plot_scatter(matrix, truth)
                paths.append(save_figure(figure, plots / f"scatter_{file_name(method)}.png"))
    return paths
