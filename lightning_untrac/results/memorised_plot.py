"""The picture of memorisation: each sequence before and after, a panel a model, with the level of unseen text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.results.figures import add_heading, file_name, part_title, plain_text, save_figure
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import COUNTS, REACH, MemorisedModel, MemorisedSet, sides
from lightning_untrac.results.panels import panel_grid
from lightning_untrac.results.style import GREY, INK, MUTED, PALETTE, shorten, shorten_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = 7
"""Unlearned models with a panel of their own, beside one for retrained models."""

LINES: Final = 200
"""Sequences that are drawn at most: all outliers first, of the others as many as there is room for."""

_COLOURS: Final = {1: PALETTE[1], 0: GREY, -1: PALETTE[0]}


def save_memorised_plot(folder: Path, memorised: MemorisedSet) -> Path | None:
    """Draw a judgement of memorisation into ``<folder>/plots/``; None where there is no unlearned model.

    Args:
        folder: of the run.
        memorised: the models of one forget set.
    """
    if not any(one.role == "unlearned" for one in memorised.models) or not memorised.sequences:
        return None
    name = f"memorised_{file_name(memorised.forget_set)}.png"
    return save_figure(plot_memorised(memorised), folder / "plots" / name)


def plot_memorised(memorised: MemorisedSet) -> Figure:
    """A line a sequence, from the original to the model; a band for unseen text; colours for what stands outside.

    Args:
        memorised: the models of one forget set.
    """
    original = next(one for one in memorised.models if one.role == "original")
    every = [one for one in memorised.models if one.role == "unlearned"]
    shown = [*every[:SHOWN], *memorised.retrained[:1]]
    prefix = f"unlearned-{memorised.forget_set}-"
    names = shorten_all([one.name.removeprefix(prefix) for one in shown], 24)
    # Where each sequence has a level of its own, what stands beside it is taken off: then one band serves all.
    beside = math.isfinite(original.value(memorised.counted, REACH).value)
    level = np.mean([one.known for one in memorised.retrained], axis=0) if beside else np.zeros(memorised.sequences)
    outside = [{} if one.role == "retrained" else _places(one, memorised) for one in shown]
    chosen = _chosen(memorised.sequences, outside)
    text = measure_text(memorised.counted)
    with plain_text():
        figure, panels = panel_grid(len(shown))
        for axes, model, mine in zip(panels, shown, outside, strict=True):
            _panel(axes, memorised, model, (original.known - level, model.known - level), mine, chosen)
            name = names[model.name.removeprefix(prefix)]
            title = f"retrained, {name}" if model.role == "retrained" else name
            axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left", color=INK)
        values = np.concatenate([one.known - level for one in (original, *shown)])
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        for axes in panels:
            axes.set_ylim(low - 0.06 * ((high - low) or 1.0), high + 0.06 * ((high - low) or 1.0))
        figure.supylabel(text.title + (",\nbeyond the retrained models" if beside else ""), fontsize=10, color=MUTED)
        remarks = [
            "band: unseen text, two standard deviations each way",
            "grey: within",
            part_title(len(chosen), memorised.sequences, "sequences"),
            part_title(min(SHOWN, len(every)), len(every), "models"),
        ]
        add_heading(
            figure,
            f"Each sequence of {shorten(memorised.forget_set, 40)}, before and after",
            "  \u00b7  ".join(remark for remark in remarks if remark),
        )
    return figure


def _places(model: MemorisedModel, memorised: MemorisedSet) -> dict[int, int]:
    """Side of each outlier by its place among the sequences."""
    return {memorised.places[example]: side for example, side in sides(model).items() if example in memorised.places}


def _chosen(count: int, outside: Sequence[dict[int, int]]) -> list[int]:
    """Places of the sequences that are drawn: what is an outlier somewhere, then others at even distances."""
    first = sorted({place for one in outside for place in one})[:LINES]
    rest = [place for place in range(count) if place not in set(first)]
    room = LINES - len(first)
    if len(rest) > room:
        rest = [rest[place] for place in np.linspace(0, len(rest) - 1, room).astype(int)] if room else []
    return sorted([*first, *rest])


def _panel(
    axes: Axes,
    memorised: MemorisedSet,
    model: MemorisedModel,
    values: tuple[Floats, Floats],
    outside: dict[int, int],
    chosen: Sequence[int],
) -> None:
    """Draw one model: values before and after, of the sequences that are drawn."""
    (before, after), counted = values, memorised.counted
    reach, low, high = (model.value(counted, end).value for end in (REACH, "level_low", "level_high"))
    low, high = (-reach, reach) if math.isfinite(reach) else (low, high)
    if math.isfinite(low):
        axes.axhspan(low, high, color="#78716c", alpha=0.14, linewidth=0, zorder=0)
    # A fixed spread, so that sequences with equal values do not hide each other: steps of the golden ratio.
    spread = {place: ((number * 0.6180339887) % 1 - 0.5) * 0.22 for number, place in enumerate(chosen)}
    for side in (0, -1, 1):
        mine = [place for place in chosen if outside.get(place, 0) == side]
        if not mine:
            continue
        x = np.array([[0 + spread[place], 1 + spread[place]] for place in mine]).T
        y = np.array([[before[place], after[place]] for place in mine]).T
        thick, colour = side != 0, _COLOURS[side]
        width, alpha, size = (1.3, 0.75, 4.6) if thick else (0.7, 0.4, 3.2)
        axes.plot(x, y, color=colour, linewidth=width, alpha=alpha, zorder=2 + abs(side))
        axes.plot(x[0], y[0], "o", color=colour, markersize=2.8, alpha=0.6, zorder=3)
        axes.plot(x[1], y[1], "o", color=colour, markersize=size, alpha=0.9, zorder=4)
    axes.set_xticks([0, 1], ["before", "after"])
    axes.set_xlim(-0.3, 1.3)
    axes.grid(visible=False, axis="x")
    for height, side, words in ((1.07, 1, "survive"), (1.0, -1, "over-forgotten")):
        count = model.value(counted, COUNTS[0 if side == 1 else 1]).value
        if math.isfinite(count):
            said, where = f"{count:.0f} {words}", axes.transAxes
            axes.text(1.0, height, said, transform=where, ha="right", va="bottom", fontsize=8.5, color=_COLOURS[side])
