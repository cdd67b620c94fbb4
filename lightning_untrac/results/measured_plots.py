"""Pictures of an unlearning run: every measure over the steps, and how examples are spread before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.results.figures import (
    add_heading,
    file_name,
    limit_to_bins,
    part_title,
    plain_text,
    save_figure,
    shared_bins,
)
from lightning_untrac.results.measured import ExampleChanges, Reading, UnlearningRun, by_change
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_DATASETS: Final = 6
"""Panels of a picture of distributions."""

TITLE_WIDTH: Final = 26
"""Letters of a line of a panel's title; longer ones reach into the next panel."""

_FORGOTTEN: Final = PALETTE[1]
_OTHERS: Final = tuple(colour for colour in PALETTE if colour != _FORGOTTEN)


def save_measured_plots(folder: Path, run: UnlearningRun) -> dict[str, Path]:
    """Draw everything that a run's measurements allow into ``<folder>/plots/``.

    Args:
        folder: of the run.
        run: what was unlearned.

    Returns:
        Kind of picture to its file: ``steps``, where there are readings at two steps or more, and
        ``examples/<measure>``, where examples were measured before and after.
    """
    paths, plots, key = {}, folder / "plots", file_name(run.key)
    if any(len(readings) > 1 for readings in run.curves.values()):
        paths["steps"] = save_figure(plot_steps(run), plots / f"steps_{key}.png")
    for measure in run.measures:
        names = by_change(run, SHOWN_DATASETS)
        changes = {name: run.changes[measure, name] for name in names if (measure, name) in run.changes}
        if changes:
            name = f"examples_{key}_{file_name(measure)}.png"
            paths[f"examples/{measure}"] = save_figure(plot_examples(run, measure, changes), plots / name)
    return paths


def _subject(run: UnlearningRun) -> str:
    seed = "" if run.seed is None else f", seed {run.seed}"
    return f"{method_title(run.method)} on {shorten(run.forget_set or 'a mixture', 40)}{seed}"


def plot_steps(run: UnlearningRun) -> Figure:
    """Every measure over the steps: a panel a measure, a line a dataset, the forget set thick and with its interval.

    Args:
        run: what was unlearned.
    """
    from matplotlib.ticker import MaxNLocator

    others = [name for name in by_change(run, len(PALETTE)) if name != run.forget_set]
    colours = dict.fromkeys(others, GREY) | dict(zip(others, _OTHERS, strict=False))
    if run.forget_set is not None:
        colours = {run.forget_set: _FORGOTTEN, **colours}
    flagged = False
    with plain_text():
        figure, panels = panel_grid(len(run.measures))
        for axes, measure in zip(panels, run.measures, strict=True):
            for name, colour in reversed(colours.items()):
                readings = run.curves.get((measure, name))
                if readings:
                    flagged |= _curve(axes, readings, colour, thick=name == run.forget_set)
            text = measure_text(measure)
            title = textwrap.fill(with_unit(text.title, text.unit), TITLE_WIDTH)
            axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left")
            axes.margins(x=0.03)
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        figure.supxlabel("steps", fontsize=10)
        add_legend(figure, colours, "dataset")
        add_heading(
            figure,
            f"{_subject(run)}: step by step",
            "thick: the forget set, with its 95 % interval"
            + ("  ·  crosses: the model is broken, collapsed or not finite" if flagged else ""),
        )
    return figure


def _curve(axes: Axes, readings: Sequence[Reading], colour: str, *, thick: bool) -> bool:
    """Draw a dataset's line; whether a reading is flagged."""
    steps = np.array([reading.step for reading in readings])
    values, low, high = (
        np.array([getattr(reading, end) for reading in readings], dtype=np.float64) for end in ("value", "low", "high")
    )
    bad = np.array([reading.status != "ok" for reading in readings])
    line = np.where(np.isfinite(values), values, np.nan)
    axes.plot(steps, line, color=colour, linewidth=2.8 if thick else 1.5, marker="o", markersize=4 if thick else 2.5)
    if thick and np.isfinite(low).any():
        axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0, zorder=1)
    if (marked := bad & np.isfinite(values)).any():
        axes.plot(steps[marked], values[marked], "x", color=colour, markersize=7, markeredgewidth=1.8, clip_on=False)
    return bool(bad.any())


def plot_examples(run: UnlearningRun, measure: str, changes: Mapping[str, ExampleChanges]) -> Figure:
    """How the examples of each dataset are spread before and after: a panel a dataset, the forget set first.

    Args:
        run: what was unlearned.
        measure: what was measured.
        changes: its examples by dataset.
    """
    text = measure_text(measure)
    shown = dict(list(changes.items())[:SHOWN_DATASETS])
    parts = list(dict.fromkeys(run.parts_of(name) for name in shown))
    with plain_text():
        figure, panels = panel_grid(len(shown))
        edges = shared_bins([side for one in shown.values() for side in (one.before, one.after)], 24)
        for axes, (name, one) in zip(panels, shown.items(), strict=True):
            forgotten = name == run.forget_set
            colour = _FORGOTTEN if forgotten else PALETTE[0]
            for values, filled in ((one.before, GREY), (one.after, colour)):
                finite = values[np.isfinite(values)]
                if not len(finite):
                    continue
                shares = np.full(len(finite), 1 / len(values))
                clipped = np.clip(finite, edges[0], edges[-1])
                axes.hist(
                    clipped, edges.tolist(), weights=shares, color=filled, alpha=0.55, edgecolor=filled, linewidth=0.8
                )
                axes.axvline(float(np.median(clipped)), color=filled, linewidth=1.8, linestyle=(0, (4, 2)))
            title = f"{shorten(name, 24)} (forget set)" if forgotten else shorten(name, 30)
            axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left", color=INK)
            axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
            limit_to_bins(axes, edges)
        figure.supxlabel(with_unit(text.title, text.unit), fontsize=10)
        figure.supylabel(f"share of the {' or '.join(parts)}", fontsize=10, color=MUTED)
        remark = part_title(len(shown), len(changes), "datasets")
        add_heading(
            figure,
            f"{text.title} of each {' or '.join(part.removesuffix('s') for part in parts)}, before and after",
            f"{_subject(run)}  ·  grey: before, coloured: after; dashed: medians"
            + (f"  ·  {remark}" if remark else ""),
        )
    return figure
