"""The picture of a judgement: excess on the forget set against excess on what is retained, a point a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lightning_untrac.results.colours import RETRAINED_COLOUR, model_colours
from lightning_untrac.results.figures import add_heading, file_name, plain_text, save_figure
from lightning_untrac.results.judged import JudgedSet, Value
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.style import MINUS, shorten
from lightning_untrac.tables.distances import RETAINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC_FROM: Final = 10.0
"""An axis with a larger excess than that is logarithmic, except around 0."""


def save_judged_plot(folder: Path, judged: JudgedSet) -> Path | None:
    """Draw a judgement into ``<folder>/plots/``; None where nothing is known of what is retained, or of the noise.

    Args:
        folder: of the run.
        judged: the models of one forget set.
    """
    points = [one.value(m, judged.forget_set, "excess").value for one in judged.models for m in judged.measures]
    if RETAINED not in judged.datasets or not points or not all(map(math.isfinite, points)):
        return None
    return save_figure(plot_judged(judged), folder / "plots" / f"judged_{file_name(judged.forget_set)}.png")


def plot_judged(judged: JudgedSet) -> Figure:
    """A panel a measure, a point a model with its intervals; the noise of retraining is a band around 0.

    Args:
        judged: the models of one forget set.
    """
    colours = model_colours(judged.models)
    with plain_text():
        figure, panels = panel_grid(len(judged.measures))
        for axes, measure in zip(panels, judged.measures, strict=True):
            _panel(axes, judged, measure, colours)
        figure.supxlabel(f"excess on {shorten(judged.forget_set, 30)} (forget set)", fontsize=10)
        figure.supylabel("excess on what is retained", fontsize=10)
        add_legend(figure, {judged.labels[model]: colour for model, colour in colours.items()}, "model")
        add_heading(
            figure,
            f"Distance to models retrained without {shorten(judged.forget_set, 40)}",
            "0: as far as another retrained model  \u00b7  "
            "bands: how far two retrained models are apart  \u00b7  lines: 95 % intervals",
        )
    return figure


def _panel(axes: Axes, judged: JudgedSet, measure: str, colours: dict[str, str]) -> None:
    for dataset, span in ((judged.forget_set, axes.axvspan), (RETAINED, axes.axhspan)):
        if math.isfinite(share := judged.noise_share(measure, dataset)):
            span(-share, share, color=RETRAINED_COLOUR, alpha=0.13, linewidth=0, zorder=0)
    from matplotlib.scale import SymmetricalLogScale

    axes.axhline(0, color="#a8a29e", linewidth=0.9, zorder=1)
    axes.axvline(0, color="#a8a29e", linewidth=0.9, zorder=1)
    ends: list[tuple[Value, Value]] = []
    for one in judged.models:
        x, y = (one.value(measure, dataset, "excess") for dataset in (judged.forget_set, RETAINED))
        axes.errorbar(
            x.value,
            y.value,
            xerr=_ends(x),
            yerr=_ends(y),
            color=colours[one.model],
            marker="D" if one.is_original else "o",
            markersize=6.5,
            elinewidth=1.2,
            zorder=3,
        )
        ends.append((x, y))
    for name, axis, values in zip("xy", (axes.xaxis, axes.yaxis), zip(*ends, strict=True), strict=True):
        if any(abs(number) > LOGARITHMIC_FROM for value in values for number in value):
            axes.set(**{f"{name}scale": SymmetricalLogScale(axis, linthresh=1)})
        axis.set_major_formatter(lambda number, _: f"{number:g}".replace("-", MINUS))
    axes.set_title(measure_text(measure).title, fontsize=10.5, fontweight="bold", loc="left")


def _ends(value: Value) -> list[list[float]] | None:
    """An interval as matplotlib takes it; the value may lie outside of it."""
    if not math.isfinite(value.low):
        return None
    return [[max(0.0, value.value - value.low)], [max(0.0, value.high - value.value)]]
