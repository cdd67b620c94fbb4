"""Pictures with one panel a test set, and the first of them: influence over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lightning_untrac.naming import counted
from lightning_untrac.results.figures import add_heading, new_figure, plain_text, seeds_title
from lightning_untrac.results.matrix import InfluenceMatrix, as_records, influence_matrix
from lightning_untrac.results.methods import method_text, method_title
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, shorten_all, unit_title
from lightning_untrac.tables.schema import UNITS, InfluenceRow, ResultsError

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Steps, means over seeds, standard deviations, and which readings are flagged.
Curve = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def panel_grid(count: int, columns: int | None = None) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels, in at most four columns unless a number of these is given."""
    columns = columns or (count if count <= 3 else 3 if count in (5, 6, 9) else 4)
    rows = math.ceil(count / columns)
    figure = new_figure(max(7.2, 3.5 * columns + 1.6), 0.35 + 2.75 * rows, pad=0.095)
    grid = figure.subplots(rows, columns, squeeze=False)
    flat: list[Axes] = list(grid.ravel())
    for axes in flat[count:]:
        axes.remove()
    for axes in flat[:count]:
        axes.grid(color="#e7e5e4", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=9, colors=MUTED)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color("#d6d3d1")
    return figure, flat[:count]


def ranked_colours(matrix: InfluenceMatrix) -> dict[str, str]:
    """A colour for each of the corpora that matter most somewhere, in the matrix's order; grey for the rest."""
    values = np.where(matrix.usable, np.abs(matrix.values), 0.0)
    shares = values / np.maximum(values.max(0, keepdims=True), 1e-300)
    order = np.argsort(-shares.max(1), kind="stable")
    coloured = sorted(order[: len(PALETTE)]) if len(order) > len(PALETTE) else range(len(order))
    colours = dict.fromkeys(matrix.corpora, GREY)
    colours.update({matrix.corpora[i]: colour for i, colour in zip(coloured, PALETTE, strict=False)})
    return colours


def has_trajectory(rows: pa.Table | Sequence[InfluenceRow], method: str) -> bool:
    """Whether a method was read at two steps or more (step 0 does not count)."""
    if hasattr(rows, "to_pylist"):
        return sum(step > 0 for step in _readings_of(rows, method)["step"].unique().to_pylist()) > 1
    return len({r["step"] for r in as_records(rows) if r["method"] == method and r["step"] > 0}) > 1


def _readings_of(rows: Any, method: str, test_sets: Sequence[str] | None = None) -> Any:
    """Those of one method on some test sets (all where None), as a table or as rows."""
    if hasattr(rows, "to_pylist"):
        import pyarrow as pa
        import pyarrow.compute as pc

        mine = rows.filter(pc.equal(rows["method"], method))
        return mine if test_sets is None else mine.filter(pc.is_in(mine["test_set"], pa.array(list(test_sets))))
    return [row for row in rows if row.method == method and (test_sets is None or row.test_set in test_sets)]


def _steep(values: npt.NDArray[np.float64]) -> bool:
    """Whether some curves would be flat beside others, so that a logarithmic scale is needed."""
    peaks = np.sort(np.abs(values[np.isfinite(values)]))
    return len(peaks) > 3 and peaks[-1] > 200 * max(float(np.median(peaks)), 1e-12)


def plot_trajectory(
    rows: pa.Table | Sequence[InfluenceRow], method: str, test_sets: Sequence[str] | None = None, remark: str = ""
) -> Figure:
    """Influence over unlearning steps: a panel a test set, a line a corpus, mean over seeds with a band of one std.

    Args:
        rows: Readings.
        method: Which method.
        test_sets: Order and choice of the panels; those of the table if ``None``.
        remark: What else the subtitle says, e.g. that these are not all test sets.

    Returns:
        The figure. Readings that collapsed are marked with a cross; those that are not finite end the line.

    Raises:
        ResultsError: If there are no readings of the method.
    """
    from matplotlib.collections import LineCollection

    rows = _readings_of(rows, method, test_sets)
    records = as_records(rows)
    if not records:
        raise ResultsError(f"There are no influences of method {method!r} to draw.")
    last = influence_matrix(rows, method, step=None if any(r["final"] for r in records) else records[-1]["step"])
    test_sets = list(test_sets) if test_sets is not None else list(last.test_sets)
    colours = ranked_colours(last)
    cells: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
    for record in records:
        by_step = cells.setdefault((record["test_set"], record["corpus"]), {})
        by_step.setdefault(record["step"], []).append(record)
    from_zero = last.unit in UNITS  # a difference of losses is zero before the first step
    crosses = False
    with plain_text():
        figure, panels = panel_grid(len(test_sets))
        for axes, test_set in zip(panels, test_sets, strict=True):
            curves = {corpus: _curve(cells.get((test_set, corpus), {}), from_zero) for corpus in last.corpora}
            low, high = _trajectory_axes(axes, test_set, list(curves.values()))
            greys: list[npt.NDArray[np.float64]] = []
            for corpus, (steps, mean, std, bad) in curves.items():
                colour, grey = colours[corpus], colours[corpus] == GREY
                line = mean if bad[steps > 0].all() else np.where(bad, np.nan, mean)
                if grey:
                    greys.append(np.column_stack([steps, line]))
                else:
                    axes.plot(steps, line, color=colour, linewidth=1.9)
                if np.isfinite(std).any() and not grey:
                    axes.fill_between(steps, line - std, line + std, color=colour, alpha=0.15, linewidth=0, zorder=1)
                if bad.any():
                    crosses = True
                    at = np.clip(mean[bad], low, high)  # what left the picture is marked at its edge
                    axes.plot(steps[bad], at, "x", color=colour, markersize=6, markeredgewidth=1.8, clip_on=False)
            # One thing to draw, below the coloured lines: hundreds of lines by themselves take seconds.
            behind = LineCollection(greys, colors=GREY, linewidths=1.0, alpha=0.7, zorder=1.9, capstyle="projecting")
            axes.add_collection(behind)
        figure.supylabel(f"influence ({unit_title(last.unit)})", fontsize=10)
        figure.supxlabel(method_text(method).steps or "steps", fontsize=10)
        add_legend(figure, colours)
        add_heading(
            figure,
            f"{method_title(method)}: influence step by step",
            seeds_title(last.num_seeds)
            + (", band: one standard deviation" if last.num_seeds > 1 else "")
            + ("  ·  crosses: the model collapsed or gave no finite loss" if crosses else "")
            + (f"  ·  {remark}" if remark else ""),
        )
    return figure


def _curve(by_step: dict[int, list[dict[str, Any]]], from_zero: bool) -> Curve:
    """Steps, mean and standard deviation over seeds, and where a reading is flagged (drawn at the last finite one)."""
    points: list[tuple[int, float, float, bool]] = [(0, 0.0, math.nan, False)] if from_zero and 0 not in by_step else []
    for step in sorted(by_step):
        values = np.array([r["influence"] for r in by_step[step]], dtype=np.float64)
        finite = values[np.isfinite(values)]
        flagged = any(r["status"] != "ok" for r in by_step[step])
        mean = float(finite.mean()) if len(finite) else points[-1][1] if points and flagged else math.nan
        points.append((step, mean, float(finite.std(ddof=1)) if len(finite) > 1 else math.nan, flagged))
    steps, means, stds, flags = zip(*points, strict=True) if points else ((), (), (), ())
    return np.array(steps, np.int64), np.array(means, float), np.array(stds, float), np.array(flags, bool)


def _trajectory_axes(axes: Axes, test_set: str, curves: Sequence[Curve]) -> tuple[float, float]:
    """Title, ticks and limits of a panel; the limits are those of readings that can be trusted, if there are any."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    every = np.concatenate([mean for _, mean, _, _ in curves])
    sound = np.concatenate([mean[~bad] for _, mean, _, bad in curves])
    values = sound if np.any(np.isfinite(sound) & (sound != 0)) else every
    values = values[np.isfinite(values)]
    low, high = (min(0.0, values.min()), max(0.0, values.max())) if len(values) else (0.0, 0.0)
    pad = 0.08 * (high - low) or 1.0
    low, high = float(low - pad), float(high + pad)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_title(shorten(test_set, 28), loc="left", fontsize=11, fontweight="bold")
    if _steep(values):
        threshold = 10.0 ** math.ceil(math.log10(float(np.median(np.abs(values[values != 0])))))
        axes.set_yscale("symlog", linthresh=threshold)
        ticks = [threshold * 10.0**k for k in range(12) if threshold * 10.0**k <= max(high, -low)]
        ticks = ticks[:: math.ceil(len(ticks) / 4) or 1]
        axes.yaxis.set_major_locator(FixedLocator([0.0, *ticks, *(-t for t in ticks)]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212")))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_title("log scale", loc="right", fontsize=9.5, color=MUTED)
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.margins(x=0.02)
    return low, high


def add_legend(figure: Figure, colours: dict[str, str], noun: str = "corpus") -> None:
    """Name the coloured corpora (or what ``noun`` says) on the right, and count the grey ones."""
    from matplotlib.lines import Line2D

    named = {name: colour for name, colour in colours.items() if colour != GREY}
    handles = [Line2D([], [], color=colour, linewidth=2.4) for colour in named.values()]
    short = shorten_all(list(colours))
    labels = [f" {short[name]}" for name in named]  # the space keeps names with a leading underscore in the legend
    others = len(colours) - len(named)
    if others:
        handles.append(Line2D([], [], color=GREY, linewidth=1.2))
        labels.append(f" {others} other {counted(others, noun).partition(' ')[2]}")
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9.5, handlelength=1.2)
