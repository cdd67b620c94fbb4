"""The part of a report that holds unlearned models against retrained ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_untrac.results.examined import Examined
from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.judged_latent import LOOK, save_latent_plot
from lightning_untrac.results.judged_plot import save_judged_plot
from lightning_untrac.results.judged_spread import save_spread_plots
from lightning_untrac.results.judged_table import measures_table
from lightning_untrac.results.judged_time import time_section
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.page import escape, picture_html, table_html
from lightning_untrac.results.recovered_section import recovered_section
from lightning_untrac.results.style import format_number, unit_title

MEANING = """
<p>The aim of unlearning is the model that training without the forget set would have given. Here each model is held
against models that were retrained so, text by text: how far apart the two are in the log-likelihood that they give a
text, and by the divergence KL(retrained || model) of their predictions, both in nats per token. Two retrained models
are apart too: that is noise, and it stands beside. <strong>Excess</strong> is (distance \u2212 noise) / (distance of
the original): 0 is as good as another retraining, below 0 is nearer than another retraining; the original's own,
1 \u2212 noise / its distance, stands in its row. An unlearned model may also go past the
retrained one, and end farther from it than the original.
Intervals (95 %) come from resampling texts and retrained models together.</p>
"""

EXCESS, LATENT = "(excess)", "(latent)"
"""Stand for a measure's name among pictures."""

FEW = "With two retrained models they do not know how far another pair would be apart; give three seeds or more. "


def judged_section(
    every: Sequence[JudgedSet], drawn: Mapping[str, Mapping[str, Path]], examined: Sequence[Examined] = ()
) -> str:
    """Tables and pictures of each forget set; its verdicts lead the page.

    Args:
        every: a forget set each.
        drawn: pictures by forget set, see :func:`save_judged_plots`.
        examined: examinations, maybe of several forget sets.
    """
    parts = []
    for judged in every:
        if len(every) > 1:
            parts.append(f"<h3>{escape(judged.forget_set)}</h3>")
        mine = [one for one in examined if one.forget_set == judged.forget_set]
        pictures = dict(drawn.get(judged.forget_set, {}))
        if table := measures_table(judged, mine):
            parts.append(f"<h4>Methods by measures</h4>{table}")
        if (path := pictures.pop(EXCESS, None)) is not None:
            parts.append(picture_html(path, f"Excess on {judged.forget_set} and on what is retained"))
        if (path := pictures.pop(LATENT, None)) is not None:
            parts.append(f"<h4>Latent space</h4>{LOOK}")
            parts.append(picture_html(path, f"Latent space of each model, with {judged.forget_set} marked"))
        parts.append(time_section(judged))
        parts.append(_spread(pictures))
        parts.append(recovered_section(judged))
        parts += [_tables(judged, measure) for measure in judged.measures]
    few = f'<p class="muted small">{FEW}</p>' if any(judged.retrained == 2 for judged in every) else ""
    return MEANING + few + "".join(parts) if parts else ""


def save_judged_plots(folder: Path, judged: JudgedSet) -> dict[str, Path]:
    """Draw everything that a judgement allows into ``<folder>/plots/``.

    Args:
        folder: of the run.
        judged: the models of one forget set.

    Returns:
        :data:`EXCESS`, :data:`LATENT` and the measures whose examples are drawn, to their files, of those that are.
    """
    drawn = {EXCESS: save_judged_plot(folder, judged), LATENT: save_latent_plot(folder, judged)}
    return {name: path for name, path in drawn.items() if path is not None} | save_spread_plots(folder, judged)


def _spread(pictures: Mapping[str, Path]) -> str:
    """How examples are spread: the first measure's picture, and the others' at a click."""
    shown = [
        picture_html(path, f"{measure_text(measure).title} of each example under each model")
        for measure, path in pictures.items()
    ]
    rest = "".join(shown[1:])
    return "".join((*(["<h4>Example by example</h4>"] if shown else []), *shown[:1])) + (
        f"<details><summary>By other measures</summary>{rest}</details>" if rest else ""
    )


def _tables(judged: JudgedSet, measure: str) -> str:
    """Excess and distances of one kind: a row a model, a column a dataset or group of them."""
    text, retrained = measure_text(measure), f"two of the {judged.retrained} retrained"
    known = judged.retrained > 1
    shares = [judged.noise_share(measure, dataset) for dataset in judged.datasets]
    excess = [
        (one.name, _made(one.method, one.is_original), *(str(one.value(measure, d, "excess")) for d in judged.datasets))
        for one in judged.models
    ]
    excess.append((retrained, "", *(f"0 \u00b1 {format_number(s, signed=False)}" for s in shares)))
    distance = [
        (one.name, *(_plain(one.value(measure, d, "distance")) for d in judged.datasets)) for one in judged.models
    ]
    noise = [_plain(judged.models[0].value(measure, d, "noise")) for d in judged.datasets]
    names = [f"{name} (forget set)" if name == judged.forget_set else name for name in judged.datasets]
    found = table_html(("excess", "made by", *names), excess, range(2, 2 + len(names))) if known else ""
    rows = [*distance, (retrained, *noise)] if known else distance
    below = table_html((f"distance ({unit_title(text.unit)})", *names), rows, range(1, 1 + len(names)))
    summary = f"{escape(text.title)} to the retrained models, dataset by dataset"
    return f"<details><summary>{summary}</summary>{found}{below}</details>"


def _made(method: str, is_original: bool) -> str:
    return "" if is_original else method_title(method)


def _plain(value: tuple[float, float, float]) -> str:
    number, low, high = value
    if not math.isfinite(number):
        return "\u2013"
    said = format_number(number, signed=False)
    if not math.isfinite(low):
        return said
    return f"{said} ({format_number(low, number, signed=False)} to {format_number(high, number, signed=False)})"
