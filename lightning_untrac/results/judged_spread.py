"""How the examples of a judgement are spread under each model, with the retrained models' outline over each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.results.colours import RETRAINED_COLOUR, model_colours
from lightning_untrac.results.figures import (
    add_heading,
    file_name,
    limit_to_bins,
    new_figure,
    plain_text,
    save_figure,
    shared_bins,
)
from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import INK, MUTED, shorten, shorten_all, with_unit
from lightning_untrac.tables.distances import RETAINED, TEST_SETS
from lightning_untrac.tables.judged import RETRAINED, read_judged_examples

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_MODELS: Final = 8
"""Unlearned models in a picture."""

_BINS: Final = 40
_HEIGHT: Final = 0.86
"""Of the highest bin, where 1 is the distance between two rows."""

#: Model (``retrained`` for all retrained ones together) to dataset or group to the values of its examples.
Spread = Mapping[str, Mapping[str, Floats]]


def save_spread_plots(folder: Path, judged: JudgedSet) -> dict[str, Path]:
    """Draw a picture a measure into ``<folder>/plots/``.

    Args:
        folder: of the run.
        judged: the models of one forget set.

    Returns:
        Measure to its picture; nothing where no example was measured.
    """
    table = read_judged_examples(folder) if judged.together is not None else None
    paths = {}
    for measure in judged.scored if table is not None else ():
        assert table is not None
        if spread := spread_of(table, judged, measure):
            name = f"judged_{file_name(judged.forget_set)}_examples_{file_name(measure)}.png"
            paths[measure] = save_figure(plot_spread(judged, measure, spread), folder / "plots" / name)
    return paths


def spread_of(table: pa.Table, judged: JudgedSet, measure: str) -> Spread:
    """Values of all examples that count, by model and by column of the picture.

    Args:
        table: of ``judged_examples.parquet``.
        judged: the models of one forget set.
        measure: what was measured.
    """
    import pyarrow.compute as pc

    mine = pc.and_(pc.equal(table["forget_set"], judged.forget_set), pc.equal(table["measure"], measure))
    frame = table.filter(mine).select(["model", "role", "dataset", "value"]).to_pandas()
    groups = {
        judged.forget_set: [judged.forget_set],
        RETAINED: [name for name, role in judged.roles.items() if role == "corpus" and name != judged.forget_set],
        TEST_SETS: [name for name, role in judged.roles.items() if role == "test set" and name != judged.forget_set],
    }
    models = [*(one.model for one in judged.models), RETRAINED]
    found: dict[str, dict[str, Floats]] = {}
    for model in models:
        rows = frame[frame["role"] == RETRAINED] if model == RETRAINED else frame[frame["model"] == model]
        parts = {name: rows.loc[rows["dataset"].isin(groups[name]), "value"].to_numpy() for name in judged.columns}
        found[model] = {name: values[np.isfinite(values)] for name, values in parts.items()}
    return found if all(len(found[RETRAINED][name]) for name in judged.columns) else {}


def plot_spread(judged: JudgedSet, measure: str, spread: Spread) -> Figure:
    """A column for the forget set and each group, a row a model: how its examples are spread.

    The outline of the retrained models stands over every other row, so that one sees where a model is unlike them.

    Args:
        judged: the models of one forget set.
        measure: what was measured.
        spread: values of the examples.
    """
    text, columns = measure_text(measure), judged.columns
    shown = [*judged.models[:1], *judged.unlearned[:SHOWN_MODELS]]
    keys = [*(one.model for one in shown), RETRAINED]
    labels = [judged.labels[one.model] for one in (*shown, judged.together) if one is not None]
    colours = [*model_colours(shown).values(), RETRAINED_COLOUR]
    with plain_text():
        figure = new_figure(1.9 + 2.9 * len(columns), 0.7 + 0.72 * len(keys), pad=0.07)
        panels: Sequence[Axes] = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, columns, strict=True):
            _panel(axes, [spread[key][name] for key in keys], colours)
            title = f"{shorten(name, 22)} (forget set)" if name == judged.forget_set else name.strip("()")
            axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left", color=INK)
        panels[0].set_yticks(
            range(len(keys)), list(shorten_all(labels, 26).values()), fontsize=9.5, color=INK, va="bottom"
        )
        figure.supxlabel(with_unit(text.title, text.unit), fontsize=10)
        left_out = len(judged.unlearned) - SHOWN_MODELS
        add_heading(
            figure,
            f"{text.title} of each example",
            f"line: the models retrained without {shorten(judged.forget_set, 30)}  \u00b7  ticks: medians"
            + (f"  \u00b7  {left_out} more models" if left_out > 0 else ""),
        )
    return figure


def _panel(axes: Axes, every: Sequence[Floats], colours: Sequence[str]) -> None:
    """A row each from the top; the last one is that of the retrained models."""
    edges = shared_bins(every, _BINS)
    shares = [_shares(values, edges) for values in every]
    top = max(max(share.max() for share in shares), 1e-12)
    truth = shares[-1]
    for place, (values, share, colour) in enumerate(zip(every, shares, colours, strict=True)):
        axes.axhline(place, color="#d6d3d1", linewidth=0.8, zorder=1)
        if not len(values):
            continue
        # Rows go downwards, and a distribution upwards from its line.
        axes.stairs(place - _HEIGHT * share / top, edges, baseline=place, color=colour, alpha=0.5, fill=True, zorder=2)
        if share is not truth:
            axes.stairs(
                place - _HEIGHT * truth / top, edges, baseline=None, color=RETRAINED_COLOUR, linewidth=1.1, zorder=3
            )
        median = float(np.clip(np.median(values), edges[0], edges[-1]))
        axes.plot([median, median], [place, place - 0.3], color=colour, linewidth=2.2, zorder=4)
    axes.axvline(float(np.clip(np.median(every[-1]), edges[0], edges[-1])), color=RETRAINED_COLOUR, linewidth=0.9,
                 linestyle=(0, (4, 3)), zorder=1.5)  # fmt: skip
    axes.set_ylim(len(every) - 0.92, -1.0)
    limit_to_bins(axes, edges)
    axes.tick_params(length=0, labelsize=9, colors=MUTED)
    axes.grid(axis="x", color="#e7e5e4", linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#d6d3d1")


def _shares(values: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / max(1, len(values))
