"""The picture of a ledger: forget questions that are still answered, and retained answers that are broken, by round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.naming import counted
from lightning_untrac.results.figures import add_heading, file_name, plain_text, save_figure
from lightning_untrac.results.ledgers import LedgerStory
from lightning_untrac.results.panels import panel_grid
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, shorten_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATASETS: Final = 5
"""Retained datasets with a colour of their own."""

TICKS: Final = 14
"""Rounds that are named below the picture."""

Layer = tuple[str, str, list[int]]
"""What it is called, its colour, and how many there are in each round."""

_COLOURS: Final = {"given": (PALETTE[0], "#c7dfed"), "reworded": (PALETTE[1], "#f6dcc7")}
"""Of questions that are still answered, and of those that are not."""

_RETAINED: Final = PALETTE[2:]


def save_ledger_plot(folder: Path, story: LedgerStory) -> Path:
    """Draw a ledger into ``<folder>/plots/``.

    Args:
        folder: of the run.
        story: of a model.
    """
    return save_figure(plot_ledger(story), folder / "plots" / f"ledger_{file_name(story.model)}.png")


def plot_ledger(story: LedgerStory) -> Figure:
    """A bar a round, of the questions that were to be forgotten, and below it of the retained answers that are broken.

    Args:
        story: of a model.
    """
    sides = [("forget questions", asked_layers(story))]
    if story.retained:
        sides.append(("retained answers broken", broken_layers(story)))
    rounds = list(story.steps)
    with plain_text():
        figure, panels = panel_grid(len(sides), columns=1)
        figure.set_size_inches(min(11.0, max(7.6, 3.2 + 0.32 * len(rounds))), 0.35 + 1.95 * len(sides))
        for axes, (title, layers) in zip(panels, sides, strict=True):
            _bars(axes, layers, len(rounds))
            axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left", color=INK)
        for axes in panels:
            every = math.ceil(len(rounds) / TICKS)
            places = range(0, len(rounds), every)
            last = axes is panels[-1]
            names = [f"{rounds[place]}\n{story.steps[rounds[place]]}" if last else "" for place in places]
            axes.set_xticks(list(places), names)
            axes.set_xlim(-0.6, len(rounds) - 0.4)
        panels[-1].set_xlabel("round, and the steps before it", fontsize=10)
        broke = len(story.broke)
        said = [
            "full colour: still answered",
            f"{broke} of {counted(len(story.retained), 'retained question')} broke at some time"
            if story.retained
            else "",
        ]
        title = f"Round by round, {shorten(story.model, 48)}"
        add_heading(figure, title, "  \u00b7  ".join(part for part in said if part))
    return figure


def asked_layers(story: LedgerStory) -> list[Layer]:
    """Questions by where they come from and whether they are still answered, from the bottom of a bar to its top.

    Args:
        story: of a model.
    """
    origins = [name for name in _COLOURS if any(one.first["origin"] == name for one in story.forgotten)]
    counts = Counter(
        (number, row["origin"], bool(row["known"])) for one in story.forgotten for number, row in one.rows.items()
    )
    return [
        (
            f"{origin}, {'still' if known else 'not'} answered",
            _COLOURS[origin][0 if known else 1],
            [counts[number, origin, known] for number in story.steps],
        )
        for known in (True, False)
        for origin in origins
    ]


def broken_layers(story: LedgerStory) -> list[Layer]:
    """Retained answers that are broken, by dataset; models with the same datasets have the same colours.

    Args:
        story: of a model.
    """
    counts = Counter((number, one.first["dataset"]) for one in story.retained for number in one.broken)
    totals = Counter(dataset for _, dataset in counts.elements())
    every = list(dict.fromkeys(one.first["dataset"] for one in story.retained))
    most = {name for name, _ in totals.most_common(None if len(totals) <= DATASETS + 1 else DATASETS)}
    shown = [name for name in every if name in most]
    colours = dict(zip(every if len(every) <= len(_RETAINED) else shown, _RETAINED, strict=False))
    short = shorten_all(shown, 22)
    layers: list[Layer] = [
        (short[name], colours[name], [counts[number, name] for number in story.steps]) for name in shown
    ]
    if rest := totals.keys() - most:
        others = [sum(counts[number, name] for name in rest) for number in story.steps]
        layers.append((f"{len(rest)} other datasets", GREY, others))
    return layers


def _bars(axes: Axes, layers: Sequence[Layer], rounds: int) -> None:
    """Stacked bars, with the legend beside them."""
    from matplotlib.ticker import MaxNLocator

    places, below = np.arange(rounds), np.zeros(rounds)
    for name, colour, numbers in layers:
        axes.bar(places, numbers, 0.74, bottom=below, color=colour, linewidth=0, label=name)
        below = below + np.array(numbers)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylim(0, max(1.0, 1.06 * float(below.max(initial=0.0))))
    if layers:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, fontsize=9.5, handlelength=1.0,
                    reverse=True)  # fmt: skip
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", fontsize=10, color=MUTED)
