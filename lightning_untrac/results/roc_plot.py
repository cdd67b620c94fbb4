"""ROC curves of attacks: how many of a forget set are found at every share of unseen text that is accused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.functional.roc import Roc, roc
from lightning_untrac.results.colours import RETRAINED_COLOUR, model_colours
from lightning_untrac.results.figures import add_heading, file_name, part_title, plain_text, save_figure
from lightning_untrac.results.judged import JudgedModel
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import MemorisedModel, MemorisedSet
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.style import INK, shorten, shorten_all
from lightning_untrac.tables.memorisation import read_memorisation

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = 4
"""Attacks with panels of their own."""

SHOWN_MODELS: Final = 6
"""Unlearned models with a line of their own."""

#: Attack to path of a model to its curve.
Curves = Mapping[str, Mapping[str, Roc]]


def save_roc_plot(folder: Path, memorised: MemorisedSet) -> Path | None:
    """Draw ``<folder>/plots/roc_<forget set>.png``; None where nothing was held against unseen text.

    Args:
        folder: of the run.
        memorised: the models of one forget set.
    """
    table = read_memorisation(folder)
    curves = {} if table is None else roc_curves(table, memorised)
    if not curves:
        return None
    return save_figure(plot_roc(memorised, curves), folder / "plots" / f"roc_{file_name(memorised.forget_set)}.png")


def roc_curves(table: pa.Table, memorised: MemorisedSet) -> Curves:
    """The curve of each model by each attack: measures that have an AUC, and values of unseen text.

    Args:
        table: of ``memorisation.parquet``.
        memorised: the models of one forget set.
    """
    import pyarrow.compute as pc

    found: dict[str, dict[str, Roc]] = {}
    mine = table.filter(pc.equal(table["forget_set"], memorised.forget_set))
    for measure in dict.fromkeys(measure for measure, statistic in memorised.cells if statistic == "auc"):
        frame = mine.filter(pc.equal(mine["measure"], measure)).select(["model", "dataset", "value"]).to_pandas()
        sign = -measure_text(measure).forgetting
        for model in (*memorised.models, *memorised.retrained):
            rows = frame[frame["model"] == model.model]
            seen = rows["dataset"] == memorised.forget_set
            members, others = (sign * rows.loc[side, "value"].to_numpy() for side in (seen, ~seen))
            if len(members) and len(others) and sign:
                found.setdefault(measure, {})[model.model] = roc(members, others)
    return found


def plot_roc(memorised: MemorisedSet, curves: Curves) -> Figure:
    """Two panels an attack: with logarithmic axes, where few false accusations show, and with linear ones.

    Args:
        memorised: the models of one forget set.
        curves: of :func:`roc_curves`.
    """
    every = [one for one in memorised.models if one.role in ("original", "unlearned")]
    unlearned = [one for one in every if one.role == "unlearned"]
    shown = [one for one in every if one not in unlearned[SHOWN_MODELS:]]
    colours = model_colours([JudgedModel(one.model, "", one.role, {}) for one in every])
    measures = list(curves)[:SHOWN]
    with plain_text():
        figure, panels = panel_grid(2 * len(measures), columns=2)
        for place, measure in enumerate(measures):
            for axes, logarithmic in zip(panels[2 * place : 2 * place + 2], (True, False), strict=True):
                _panel(axes, memorised, curves[measure], shown, colours, logarithmic=logarithmic)
                title = shorten(measure_text(measure).title, 34) if logarithmic else "the same, linear axes"
                axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left", color=INK)
        figure.supxlabel("share of unseen text that is accused (false positives)", fontsize=10)
        figure.supylabel(f"share of {shorten(memorised.forget_set, 30)} that is found (true positives)", fontsize=10)
        add_legend(figure, _legend(memorised, shown, colours), "model")
        remarks = [
            "left: logarithmic axes",
            "thin and dashed: chance",
            "grey band: the retrained models, from the least to the most" if len(memorised.retrained) > 1 else "",
            part_title(len(measures), len(curves), "attacks"),
            part_title(min(SHOWN_MODELS, len(unlearned)), len(unlearned), "models"),
        ]
        heading = f"What attacks tell of {shorten(memorised.forget_set, 40)} from unseen text"
        add_heading(figure, heading, "  \u00b7  ".join(filter(None, remarks)))
    return figure


def _legend(memorised: MemorisedSet, shown: Sequence[MemorisedModel], colours: Mapping[str, str]) -> dict[str, str]:
    prefix = f"unlearned-{memorised.forget_set}-"
    names = [one.name.removeprefix(prefix) for one in shown]
    short = shorten_all(names, 24)
    found = {short[name]: colours[one.model] for name, one in zip(names, shown, strict=True)}
    if count := len(memorised.retrained):
        found["retrained" + (f" ({count})" if count > 1 else "")] = RETRAINED_COLOUR
    return found


def _panel(
    axes: Axes,
    memorised: MemorisedSet,
    curves: Mapping[str, Roc],
    shown: Sequence[MemorisedModel],
    colours: Mapping[str, str],
    *,
    logarithmic: bool,
) -> None:
    # Nothing lies between none and one accused: on a logarithmic axis 0 stands half a sequence from the edge.
    least = [min((float(share[share > 0].min()) for share in side), default=1.0) / 2
             for side in zip(*curves.values(), strict=True)] if logarithmic else [0.0, 0.0]  # fmt: skip
    # Both axes reach equally far, so that chance is a diagonal.
    edge = min(least)
    grid = np.geomspace(edge, 1, 400) if logarithmic else np.linspace(0, 1, 401)
    axes.plot([edge, 1], [edge, 1], color="#a8a29e", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    truth = [curves[one.model].at(grid) for one in memorised.retrained if one.model in curves]
    if truth:
        low, high = np.clip([np.min(truth, axis=0), np.max(truth, axis=0)], edge, 1)
        axes.fill_between(grid, low, high, step="post", color=RETRAINED_COLOUR, alpha=0.25, linewidth=0, zorder=1.5)
        for values in truth:
            axes.step(grid, np.clip(values, edge, 1), where="post", color=RETRAINED_COLOUR, linewidth=0.9, zorder=2)
    for one in shown:
        if one.model in curves:
            values = np.clip(curves[one.model].at(grid), edge, 1)
            # The original is dashed and on top: what did not change lies under it and still shows.
            line, order = ((0, (2.5, 1.5)), 4) if one.role == "original" else ("-", 3)
            axes.step(grid, values, where="post", color=colours[one.model], linewidth=1.7, linestyle=line, zorder=order)
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        axes.minorticks_off()
    axes.set_xlim(edge, 1.02)
    axes.set_ylim(edge, 1.05)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda number, _: f"{number:g}")
