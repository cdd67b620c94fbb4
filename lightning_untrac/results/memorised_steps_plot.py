"""The picture of privacy against utility: a line a model, a point a reading, with where retrained models stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.results.colours import RETRAINED_COLOUR
from lightning_untrac.results.figures import add_heading, plain_text, save_figure
from lightning_untrac.results.memorised_steps import BESIDE, ForgettingSteps
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.style import MINUS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME: Final = "privacy_utility.png"

SHOWN: Final = 7
"""Lines in a picture."""

_Y: Final = {
    "outside": "share of sequences outside\nof the level of unseen text",
    "genex_size": "size of GenEx, nats per token",
}

LOGARITHMIC_FROM: Final = 12.0
"""A cost so many times that of the median reading needs a logarithmic axis."""


def save_steps_plot(folder: Path, every: Sequence[ForgettingSteps]) -> Path | None:
    """Draw it into ``<folder>/plots/``; None where there are no steps beside what is retained.

    Args:
        folder: of the run.
        every: models of all forget sets.
    """
    if not _drawn(every):
        return None
    return save_figure(plot_steps(every), folder / "plots" / NAME)


def _drawn(every: Sequence[ForgettingSteps]) -> list[ForgettingSteps]:
    return [one for one in every if one.role == "unlearned" and len(one.steps) > 1 and set(BESIDE) & set(one.courses)]


def plot_steps(every: Sequence[ForgettingSteps]) -> Figure:
    """A row for each reading of privacy, a column for each of utility; the aim is down and at the line of retraining.

    Args:
        every: models of all forget sets.
    """
    drawn = _drawn(every)
    shown = drawn[:SHOWN]
    labels = _labels(shown)
    colours = dict(zip(labels, PALETTE, strict=False))
    below = [name for name in BESIDE if any(name in one.courses for one in shown)]
    sides = [name for name in _Y if any(name in one.courses for one in shown)]
    retrained = [one for one in every if one.role == "retrained"]
    with plain_text():
        figure, panels = panel_grid(len(below) * len(sides), len(below) if len(below) > 1 else None)
        cells = [(y, x) for y in sides for x in below]
        for axes, (y, x) in zip(panels, cells, strict=True):
            _panel(axes, [(one, colours[label]) for one, label in zip(shown, labels, strict=True)], retrained, x, y)
            if x == below[0]:
                axes.set_ylabel(_Y[y], fontsize=9.5)
            axes.set_title(
                BESIDE[x].removeprefix("what is ").removeprefix("the "), fontsize=10.5, fontweight="bold", loc="left"
            )
        figure.supxlabel("loss above that of the retrained models (nats per token)", fontsize=10)
        add_legend(figure, colours, "model")
        remarks = [
            "a point a reading, from the diamond on",
            "crosses, band: retrained models",
            f"{len(drawn) - len(shown)} more models" if len(drawn) > len(shown) else "",
        ]
        add_heading(figure, "Privacy against utility, step by step", "  \u00b7  ".join(one for one in remarks if one))
    return figure


def _labels(shown: Sequence[ForgettingSteps]) -> list[str]:
    """What each line is called: its forget set where there are several, its own name where that tells more."""
    sets = {one.forget_set for one in shown}
    if len(sets) == 1:
        return [one.name for one in shown]
    alone = {name for name in sets if sum(one.forget_set == name for one in shown) == 1}
    return [one.forget_set if one.forget_set in alone else f"{one.forget_set}: {one.name}" for one in shown]


def _panel(
    axes: Axes,
    lines: Sequence[tuple[ForgettingSteps, str]],
    retrained: Sequence[ForgettingSteps],
    x: str,
    y: str,
) -> None:
    from matplotlib.ticker import MaxNLocator

    both = [one for one in retrained if x in one.courses and y in one.courses]
    if both:
        across, up = (np.array([one.courses[name][0] for one in both]) for name in (x, y))
        axes.axvspan(
            float(across.min()), float(across.max()), color=RETRAINED_COLOUR, alpha=0.13, linewidth=0, zorder=0
        )
        axes.axhline(float(up.mean()), color=RETRAINED_COLOUR, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.plot(across, up, "x", color=RETRAINED_COLOUR, markersize=6, markeredgewidth=1.6, zorder=5)
    costs: list[Floats] = []
    for one, colour in lines:
        if x not in one.courses or y not in one.courses:
            continue
        across, up = one.courses[x], one.courses[y]
        costs.append(np.abs(across - across[0])[1:])
        axes.plot(across, up, color=colour, linewidth=1.5, alpha=0.85, zorder=2)
        axes.plot(across[1:-1], up[1:-1], ".", color=colour, markersize=4.5, zorder=3)
        axes.plot(across[-1], up[-1], "o", color=colour, markersize=7, zorder=4)
        axes.plot(across[0], up[0], "D", color=colour, markersize=6.5, markeredgecolor="white", zorder=4)
        axes.annotate(f"{one.steps[-1]:g}", (across[-1], up[-1]), (5, 4), textcoords="offset points", fontsize=8.5,
                      color=colour, zorder=6)  # fmt: skip
    every = np.concatenate([*costs, np.zeros(0)])
    every = every[np.isfinite(every)]
    if len(every) and every.max() > LOGARITHMIC_FROM * max(float(np.median(every)), 1e-12) and every.max() > 1:
        axes.set_xscale("symlog", linthresh=0.1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}".replace("-", MINUS))
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.03 * (high or 1.0)), high)
