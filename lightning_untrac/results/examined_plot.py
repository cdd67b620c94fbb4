"""Pictures of examinations that have an axis: a line a model, whatever was done to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lightning_untrac.results.colours import RETRAINED_COLOUR, model_colours
from lightning_untrac.results.figures import add_heading, file_name, part_title, plain_text, save_figure
from lightning_untrac.results.judged import JudgedModel
from lightning_untrac.results.measures import measure_text, read_measure_texts
from lightning_untrac.results.panels import add_legend, panel_grid
from lightning_untrac.results.style import MINUS, shorten, with_unit
from lightning_untrac.tables.judged import RETRAINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS: Final = 12

Row = Mapping[str, Any]


class Panel(NamedTuple):
    """What one panel shows.

    Attributes:
        measure: what stands upwards.
        dataset: of what.
        condition: of the models; empty where nothing else was done to them.
    """

    measure: str
    dataset: str
    condition: str


def save_examined_plots(folder: Path, forget: str, rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Path]:
    """Draw every examination with an axis into ``<folder>/plots/examined_<forget>_<examination>.png``.

    Args:
        folder: of the run.
        forget: the forget set.
        rows: of ``examination_summary.parquet``, of this forget set.
        facts: content of ``run.json``, which knows the examinations' titles and axes.

    Returns:
        Examination to picture; none of an examination without means at two places or more.
    """
    read_measure_texts(facts.get("measures"))
    texts = facts.get("examinations") or {}
    found = {}
    for examination in dict.fromkeys(str(row["examination"]) for row in rows):
        mine = [row for row in rows if row["examination"] == examination and _is_shown(row)]
        text = texts.get(examination) or {}
        if text.get("axis") and len({row["at"] for row in mine}) > 1:
            path = folder / "plots" / f"examined_{file_name(forget)}_{file_name(examination)}.png"
            title = str(text.get("title", examination))
            found[examination] = save_figure(plot_examined(forget, title, text["axis"], mine), path)
    return found


def _is_shown(row: Row) -> bool:
    return row["statistic"] == "mean" and row["at"] is not None and math.isfinite(row["at"])


def plot_examined(forget: str, title: str, axis: str, rows: Sequence[Row]) -> Figure:
    """A panel a measure, dataset and condition; a line a model, its 95 % intervals as a band.

    Args:
        forget: the forget set.
        title: of the examination.
        axis: what ``at`` counts.
        rows: means of it with an ``at``.
    """
    every = dict.fromkeys(Panel(row["measure"], row["dataset"], row["condition"]) for row in rows)
    panels = sorted(every, key=lambda panel: panel.dataset != forget)  # of many, the forget set's stay
    models = sorted({(str(row["model"]), str(row["method"]), str(row["role"])) for row in rows})
    colours = model_colours([JudgedModel(*model, {}) for model in models if model[2] != RETRAINED])
    colours |= {model: RETRAINED_COLOUR for model, _, role in models if role == RETRAINED}
    with plain_text():
        figure, grid = panel_grid(min(len(panels), MOST_PANELS))
        for axes, panel in zip(grid, panels, strict=False):
            _panel(axes, panel, [row for row in rows if (row["measure"], row["dataset"], row["condition"]) == panel],
                   colours)  # fmt: skip
        for measure in {panel.measure for panel in panels}:  # so that datasets can be held against each other
            alike = [axes for axes, panel in zip(grid, panels, strict=False) if panel.measure == measure]
            ends = [axes.get_ylim() for axes in alike]
            drawn = [row[name] for row in rows if row["measure"] == measure for name in ("value", "ci_low")]
            below = any(number is not None and number < 0 for number in drawn)
            for axes in alike:
                axes.set_ylim(min(low for low, _ in ends) if below else 0, max(high for _, high in ends))
        figure.supxlabel(axis, fontsize=10)
        add_legend(figure, _legend(models, colours), "model")
        said = ["bands: 95 % intervals over examples", part_title(len(grid), len(panels), "panels")]
        add_heading(figure, f"{title}: {shorten(forget, 40)} forgotten", "  \u00b7  ".join(filter(None, said)))
    return figure


def _legend(models: Sequence[tuple[str, str, str]], colours: Mapping[str, str]) -> dict[str, str]:
    """Names to colours; the retrained models share one."""
    retrained = [path for path, _, role in models if role == RETRAINED]
    named = {JudgedModel(*model, {}).name: colours[model[0]] for model in models if model[2] != RETRAINED}
    if retrained:
        named["retrained" + (f" ({len(retrained)})" if len(retrained) > 1 else "")] = RETRAINED_COLOUR
    return named


def _panel(axes: Axes, panel: Panel, rows: Sequence[Row], colours: Mapping[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.axhline(0, color="#a8a29e", linewidth=0.9, zorder=1)
    for model, colour in colours.items():
        mine = sorted((row for row in rows if row["model"] == model), key=lambda row: float(row["at"]))
        at, values = ([row[name] for row in mine] for name in ("at", "value"))
        low, high = ([math.nan if row[name] is None else row[name] for row in mine] for name in ("ci_low", "ci_high"))
        axes.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1.5)
        axes.plot(at, values, ".-", color=colour, linewidth=1.5, markersize=5, zorder=2)
    if all(float(row["at"]).is_integer() for row in rows):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:g}".replace("-", MINUS))
    title = f"{shorten(panel.dataset, 28)}, {panel.condition}" if panel.condition else shorten(panel.dataset, 28)
    axes.set_title(title, fontsize=10.5, fontweight="bold", loc="left")
    text = measure_text(panel.measure)
    axes.set_ylabel(with_unit(text.title, text.unit), fontsize=9.5)
