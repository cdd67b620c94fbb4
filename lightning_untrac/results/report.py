"""``report.html``: everything a run found, in one file that opens offline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lightning_untrac.results.answers_section import answers_section, continuations_section
from lightning_untrac.results.chance import chance_title, findings, verdicts
from lightning_untrac.results.colours import colours_title
from lightning_untrac.results.examined import said_of
from lightning_untrac.results.examined_section import draw_examined, examined_section
from lightning_untrac.results.figures import file_name, seeds_title
from lightning_untrac.results.found import Found, find
from lightning_untrac.results.judged_section import judged_section, save_judged_plots
from lightning_untrac.results.ledger_plot import save_ledger_plot
from lightning_untrac.results.ledger_section import MODELS, ledger_section
from lightning_untrac.results.many import is_large, large_section
from lightning_untrac.results.measured_answers import measured_answers
from lightning_untrac.results.measured_plots import save_measured_plots
from lightning_untrac.results.measured_sections import (
    beside_section,
    changes_section,
    measures_section,
    models_section,
    spread_section,
    steps_section,
    survivors_section,
)
from lightning_untrac.results.memorised import memorised_answers
from lightning_untrac.results.memorised_plot import save_memorised_plot
from lightning_untrac.results.memorised_section import memorised_section
from lightning_untrac.results.memorised_steps_plot import save_steps_plot
from lightning_untrac.results.methods import REFERENCE, method_text, method_title
from lightning_untrac.results.narrative import answers
from lightning_untrac.results.page import escape, page_html, picture_html, sentence_html, table_html
from lightning_untrac.results.plots import save_plots
from lightning_untrac.results.predicted import predicted_section
from lightning_untrac.results.roc_plot import save_roc_plot
from lightning_untrac.results.run_sections import (
    asked_section,
    config_section,
    costs_section,
    data_section,
    losses_section,
)
from lightning_untrac.results.sections import MEANING, comparison_section, examples_section, matrix_section
from lightning_untrac.results.self_check import without_self_sets
from lightning_untrac.results.sentence import Sentence, plain
from lightning_untrac.results.style import unit_title
from lightning_untrac.results.verdict import verdict_html, verdicts_on
from lightning_untrac.tables.files import atomic_write_bytes

_SHOWN_AT_MOST = 12
"""Sentences of a list that are shown without a click."""


def _notes_section(notes: list[tuple[str, Sentence]]) -> str:
    items = "".join(
        f'<li><span class="level {level}">{level}</span>{sentence_html(sentence)}</li>' for level, sentence in notes
    )
    return f'<ul class="notes">{items}</ul>' if items else ""


def _sentences(sentences: list[Sentence], style: str = "") -> str:
    """A list of sentences; of many, the later ones open with a click."""
    items = [f"<li>{sentence_html(sentence)}</li>" for sentence in sentences]
    shown, rest = items[:_SHOWN_AT_MOST], items[_SHOWN_AT_MOST:]
    attribute = f' class="{style}"' if style else ""
    markup = f"<ul{attribute}>{''.join(shown)}</ul>"
    if rest:
        markup += f"<details><summary>{len(rest)} more</summary><ul{attribute}>{''.join(rest)}</ul></details>"
    return markup


def _influence_section(found: Found) -> str:
    parts = []
    order = sorted(found.matrices.values(), key=lambda m: (m.method != found.headline, m.method == found.reference))
    for matrix in order:
        text = method_text(matrix.method)
        picture = found.folder / "plots" / f"matrix_{file_name(matrix.method)}.png"
        caption = f"{unit_title(matrix.unit)}, {seeds_title(matrix.num_seeds)}"
        if not is_large(matrix):
            caption += f"; {colours_title(matrix)}; colours are per column and the strongest corpus of each is outlined"
        drawing = picture_html(picture, f"Heat map of the influences by {text.title}") if picture.exists() else ""
        intervals = found.intervals.get(matrix.method)
        reasons = [] if intervals is not None else findings(matrix)  # the others have a section of their own
        said = _sentences(reasons) if reasons else ""
        summary = f"<p>{escape(text.summary)}</p>" if text.summary else ""
        section = large_section if is_large(matrix) else matrix_section
        parts.append(
            f'<h3>{escape(text.title)}</h3>{summary}<p class="muted small">{escape(caption)}</p>'
            f"{section(matrix, intervals)}{said}<details><summary>As a picture</summary>{drawing}</details>"
        )
    return "".join(parts)


def _chance_section(found: Found, drawn: set[Path]) -> str:
    parts = []
    for method in sorted(found.intervals, key=lambda name: name != found.headline):
        intervals = found.intervals[method]
        parts.append(
            f'<h3>{escape(method_title(method))}</h3><p class="muted small">'
            f"{escape(f'95 % intervals from {chance_title(intervals)}')}</p>{_sentences(verdicts(intervals))}"
            f"{_pictures(found, drawn, 'intervals', 'Influences with intervals', [method])}"
        )
    return "".join(parts)


def _pictures(found: Found, drawn: set[Path], kind: str, what: str, methods: list[str] | None = None) -> str:
    chosen = list(found.matrices) if methods is None else methods
    paths = [(method, found.folder / "plots" / f"{kind}_{file_name(method)}.png") for method in chosen]
    return "".join(picture_html(path, f"{what}, {method_title(method)}") for method, path in paths if path in drawn)


def _judged_sections(found: Found) -> list[tuple[str, str, str]]:
    """What models are like beside others; empty where none was judged."""
    beside = {one.forget_set: save_judged_plots(found.folder, one) for one in found.judged}
    slopes = {one.forget_set: path for one in found.memorised if (path := save_memorised_plot(found.folder, one))}
    curves = {one.forget_set: path for one in found.memorised if (path := save_roc_plot(found.folder, one))}
    privacy = save_steps_plot(found.folder, found.forgetting)
    survive = memorised_section(found.memorised, slopes, found.forgetting, privacy, curves)
    lines = draw_examined(found.folder, found.run)
    return [
        ("judged", "Beside models that never saw it", judged_section(found.judged, beside, found.examined)),
        ("memorised", "Which sequences survive", survive),
        ("examined", "What examinations found", examined_section(found.examined, found.judged, lines)),
        ("continuations", "How each model goes on", continuations_section(found.run)),
    ]


def _measured_sections(found: Found) -> list[tuple[str, str, str]]:
    """What was measured of models; nothing where nothing was."""
    if (measured := found.measured) is None:
        return []
    drawn = {run.key: save_measured_plots(found.folder, run) for run in measured.runs}
    rounds = {one.model: save_ledger_plot(found.folder, one) for one in found.ledgers[:MODELS]}
    return [
        ("unlearned", "What was forgotten, and what it cost", changes_section(measured)),
        ("answers", "Answers before and after", answers_section(found.run)),
        ("ledger", "How it was unlearned, question by question", ledger_section(found.ledgers, rounds)),
        ("predicted", "Predicted, and what came", predicted_section(found.run, measured)),
        ("beside", "Beside each other", beside_section(measured)),
        ("unlearning", "Unlearning over the steps", steps_section(measured, drawn)),
        ("spread", "Example by example", spread_section(measured, drawn)),
        ("survivors", "Survivors", survivors_section(measured)),
        ("models", "Models as they are", models_section(measured)),
        ("measures", "What the measures say", measures_section(measured)),
    ]


def _subject(found: Found) -> str:
    """What a page without a title of its own is about."""
    if found.matrices:
        return "Influences"
    has_runs = found.measured is not None and found.measured.runs
    return "Unlearning" if has_runs or found.judged else "Measurements"


def _care(found: Found) -> str:
    grave = sum(level != "info" for level, _ in found.notes)
    return f' <a href="#care">{grave} {"warning" if grave == 1 else "warnings"} to read with this.</a>' if grave else ""


def _lead(found: Found) -> str:
    """The answers, those about influences first, then a verdict on each unlearned model."""
    parts = []
    if found.matrices:
        parts.append(_traced_lead(found))
    memorised = {one.forget_set: one for one in found.memorised}
    parts += [
        verdict_html(verdicts_on(one, memorised.pop(one.forget_set, None), said_of(found.examined, one.forget_set)))
        for one in found.judged
    ]
    said: list[Sentence] = [(sentence,) for one in memorised.values() for sentence in memorised_answers(one)]
    said += measured_answers(found.measured) if found.measured is not None else []
    if said:
        parts.append(_sentences(said, "answers"))
    if not found.matrices and (care := _care(found)):
        parts.append(f'<p class="muted small">{care.strip()}</p>')
    return "".join(parts)


def _traced_lead(found: Found) -> str:
    matrix = without_self_sets(found.matrices[found.headline])
    unused = (found.headline, found.reference, *found.failed)
    others = [its for method, its in found.matrices.items() if method not in unused]
    intervals = found.intervals.get(found.headline), found.intervals.get(found.reference)
    said = answers(matrix, found.matrices.get(found.reference), others, *intervals, found.intervals)
    by = f"Read from {escape(method_title(matrix.method))}, {seeds_title(matrix.num_seeds)}.{_care(found)}"
    return f'{_sentences(said, "answers")}<p class="muted small">{by}</p>'


def write_report(
    folder: str | os.PathLike[str],
    reference: str = REFERENCE,
    *,
    found: Found | None = None,
    stages: Mapping[str, bool] | None = None,
) -> Path:
    """Write ``report.html`` for the tables that a folder holds, and draw the plots for it.

    Args:
        folder: The run's folder: ``influence.parquet`` or ``summary.parquet``, and where they are there
            ``comparison.parquet``, ``examples.parquet``, ``measurements.parquet``, ``notes.json`` (a list of
            ``{"level", "text"}``), ``run.json`` (``title``, ``asked``, ``command``,
            ``versions``, ``costs``, ``data``, ``methods``, ``measures``) and ``*.yaml``.
        reference: The method that counts as truth.
        found: What the folder holds, where :func:`find` has read it already.
        stages: Which stages of the run have begun, and whether each is finished.

    Returns:
        The path of the report: one file with its style and pictures inside, which loads and runs nothing.

    Raises:
        ResultsError: If there are neither influences nor measurements, or a file is damaged.
    """
    folder, stages = Path(folder), stages or {}
    found = found or find(folder, reference)
    run = found.run
    drawn = set[Path]()
    if found.table is not None:
        drawn = set(save_plots(folder, found.table, found.reference, found.intervals, found.headline, found.matrices))
    versions = table_html(("package", "version"), sorted((run.get("versions") or {}).items()))
    retraining = comparison_section(found.comparison) if found.comparison is not None else ""
    sections = [
        ("asked", "What was asked", asked_section(run)),
        ("influence", "Influence of each corpus", _influence_section(found)),
        ("chance", "What can be told apart", _chance_section(found, drawn)),
        ("steps", "Over the steps", _pictures(found, drawn, "trajectory", "Influence over steps")),
        (
            "retraining",
            "Against retraining",
            retraining + _pictures(found, drawn, "scatter", "Prediction against retraining"),
        ),
        *_judged_sections(found),
        *_measured_sections(found),
        ("examples", "Strongest examples", examples_section(found.examples) if found.examples is not None else ""),
        ("care", "Read with care", _notes_section(found.notes)),
        ("meaning", "What the numbers mean", MEANING if found.matrices else ""),
        ("losses", "Losses before", losses_section(found.table) if found.table is not None else ""),
        ("data", "Data", data_section(run)),
        ("configuration", "Configuration", config_section(folder, stages)),
        ("versions", "Versions", versions if run.get("versions") else ""),
        ("costs", "Costs", costs_section(run, stages)),
    ]
    page = page_html(str(run.get("title") or f"{_subject(found)} in {folder.resolve().name}"), _lead(found), sections)
    return atomic_write_bytes(folder / "report.html", page.encode("utf-8", errors="replace"))


def report_warnings(
    folder: str | os.PathLike[str], reference: str = REFERENCE, *, found: Found | None = None
) -> list[str]:
    """What the report warns of, a sentence each, for the terminal.

    Args:
        folder: The run's folder.
        reference: The method that counts as truth.
        found: What the folder holds, where :func:`find` has read it already.
    """
    found = found or find(folder, reference)
    return [plain(sentence) for level, sentence in found.notes if level != "info"]
