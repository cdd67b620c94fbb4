"""The picture of what fine-tuning brings back: a line a model, with what the original knew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_untrac.results.figures import add_heading, plain_text, save_figure
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.relearned import HALF, Relearned
from lightning_untrac.results.style import MUTED, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_relearned_plot(folder: Path, forget: str, found: Sequence[Relearned]) -> Path | None:
    """Draw it into ``<folder>/plots/relearned_<forget>.png``; None where there is nothing to draw.

    Args:
        folder: of the run.
        forget: the forget set.
        found: courses of the same models.
    """
    if not found:
        return None
    return save_figure(plot_relearned(forget, found), folder / "plots" / f"relearned_{forget}.png")


def plot_relearned(forget: str, found: Sequence[Relearned]) -> Figure:
    """A panel a measure and dataset.

    Args:
        forget: the forget set.
        found: courses of the same models.
    """
    models = list(dict.fromkeys(name for one in found for name in one.steps))
    colours = dict(zip(models, PALETTE, strict=False))
    with plain_text():
        figure, panels = panel_grid(len(found))
        for axes, one in zip(panels, found, strict=True):
            for share, line in ((1.0, (0, (4, 3))), (HALF, (0, (1, 3)))):
                axes.axhline(share * one.original, color=MUTED, linewidth=1.0, linestyle=line, zorder=1)
            for name, colour in colours.items():
                axes.plot(one.steps[name], one.values[name], ".-", color=colour, linewidth=1.5, markersize=5, zorder=2)
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
            axes.set_title(one.dataset, fontsize=10.5, fontweight="bold", loc="left")
            axes.set_ylabel(measure_text(one.measure).title, fontsize=9.5)
        figure.supxlabel("steps of fine-tuning", fontsize=10)
        add_legend(figure, colours, "model")
        add_heading(figure, f"What fine-tuning brings back of {forget}", "dashed: the original, dotted: half of it")
    return figure
