"""``report.html``: everything a run found, in one file that opens offline."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.results.chance import chance_title, findings, sign_title, verdicts
from lightning_untrac.results.doubts import doubts
from lightning_untrac.results.figures import file_name, seeds_title
from lightning_untrac.results.files import atomic_write_bytes, read_table
from lightning_untrac.results.matrix import InfluenceMatrix, influence_matrix, methods_of
from lightning_untrac.results.methods import method_title, read_texts
from lightning_untrac.results.narrative import answers, headline_method
from lightning_untrac.results.ordering import in_configured_order
from lightning_untrac.results.page import escape, page_html, picture_html, sentence_html, table_html
from lightning_untrac.results.plots import save_plots
from lightning_untrac.results.run_facts import sound_facts, sound_notes
from lightning_untrac.results.schema import ResultsError
from lightning_untrac.results.sections import MEANING, comparison_section, examples_section, matrix_section
from lightning_untrac.results.self_check import self_check, without_self_sets
from lightning_untrac.results.sentence import Sentence, plain
from lightning_untrac.results.style import seconds_title, unit_title
from lightning_untrac.results.uncertainty import InfluenceIntervals, influence_intervals

if TYPE_CHECKING:
    import pyarrow as pa

_LEVELS = ("error", "warning", "info")


def _json(path: Path, kind: type) -> Any:
    """A JSON file beside the tables; an empty ``kind`` if it is not there."""
    if not path.exists():
        return kind()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ResultsError(
            f"{path} cannot be read as JSON ({error}). Mend it, or delete it and write the report again."
        ) from error
    if not isinstance(content, kind):
        raise ResultsError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}. Mend it or delete it.")
    return content


def _optional(path: Path) -> pa.Table | None:
    return read_table(path) if path.exists() else None


def _notes_section(notes: list[tuple[str, Sentence]]) -> str:
    items = "".join(
        f'<li><span class="level {level}">{level}</span>{sentence_html(sentence)}</li>' for level, sentence in notes
    )
    return f'<ul class="notes">{items}</ul>' if items else ""


def _asked_section(run: Mapping[str, Any]) -> str:
    asked = f"<p>{escape(run['asked'])}</p>" if run.get("asked") else ""
    return asked + (f"<pre>{escape(run['command'])}</pre>" if run.get("command") else "")


def _data_section(run: Mapping[str, Any]) -> str:
    rows = [
        (
            entry.get("name", ""),
            entry.get("role", ""),
            _count(entry.get("num_examples")),
            _count(entry.get("num_tokens")),
            _truncated(entry.get("truncated")),
            entry.get("source", ""),
        )
        for entry in run.get("data") or []
    ]
    return table_html(("name", "role", "examples", "tokens", "truncated", "source"), rows, (2, 3, 4)) if rows else ""


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else "\u2013" if value is None else str(value)


def _truncated(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else _count(value)


def _costs_section(run: Mapping[str, Any]) -> str:
    rows = []
    for entry in run.get("costs") or []:
        seconds, memory = entry.get("seconds"), entry.get("peak_memory_mb")
        rows.append(
            (
                entry.get("step", ""),
                seconds_title(float(seconds)) if isinstance(seconds, (int, float)) else "\u2013",
                f"{memory:,.0f} MB" if isinstance(memory, (int, float)) else "\u2013",
            )
        )
    return table_html(("step", "time", "peak memory"), rows, (1, 2)) if rows else ""


def _config_section(folder: Path) -> str:
    parts = []
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        parts.append(f"<details><summary>{escape(path.name)}</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts)


def _influence_section(
    matrices: list[InfluenceMatrix],
    intervals: dict[str, InfluenceIntervals],
    headline: str,
    reference: str,
    plots: Path,
) -> str:
    parts = []
    for matrix in sorted(matrices, key=lambda m: (m.method != headline, m.method == reference)):
        title = method_title(matrix.method)
        picture = plots / f"matrix_{file_name(matrix.method)}.png"
        positive, negative = sign_title(matrix)
        caption = (
            f"{unit_title(matrix.unit)}, {seeds_title(matrix.num_seeds)}; red: {positive}; blue: {negative}; "
            "colours are per column and the strongest corpus of each is outlined"
        )
        reasons = [] if matrix.method in intervals else findings(matrix)  # the others have a section of their own
        said = "".join(f"<p>{sentence_html(reason)}</p>" for reason in reasons)
        drawing = picture_html(picture, f"Heat map of the influences by {title}") if picture.exists() else ""
        parts.append(
            f'<h3>{escape(title)}</h3><p class="muted small">{escape(caption)}</p>'
            f"{matrix_section(matrix, intervals.get(matrix.method))}{said}"
            f"<details><summary>As a picture</summary>{drawing}</details>"
        )
    return "".join(parts)


def _chance_section(intervals: dict[str, InfluenceIntervals], headline: str, plots: Path) -> str:
    parts = []
    for method in sorted(intervals, key=lambda name: name != headline):
        items = "".join(f"<li>{sentence_html(sentence)}</li>" for sentence in verdicts(intervals[method]))
        title, chance = method_title(method), chance_title(intervals[method])
        parts.append(
            f'<h3>{escape(title)}</h3><p class="muted small">{escape(f"95 % intervals from {chance}")}</p>'
            f"<ul>{items}</ul>{_pictures(plots, 'intervals', [method], 'Influences with intervals')}"
        )
    return "".join(parts)


def _pictures(plots: Path, kind: str, methods: list[str], what: str) -> str:
    paths = [(method, plots / f"{kind}_{file_name(method)}.png") for method in methods]
    return "".join(picture_html(path, f"{what}, {method_title(method)}") for method, path in paths if path.exists())


def _lead(
    matrix: InfluenceMatrix,
    truth: InfluenceMatrix | None,
    others: list[InfluenceMatrix],
    intervals: dict[str, InfluenceIntervals],
    notes: list[tuple[str, Sentence]],
) -> str:
    mine, theirs = intervals.get(matrix.method), None if truth is None else intervals.get(truth.method)
    said = answers(matrix, truth, others, mine, theirs, intervals)
    items = "".join(f"<li>{sentence_html(sentence)}</li>" for sentence in said)
    grave = sum(level != "info" for level, _ in notes)
    care = f' <a href="#care">{grave} {"warning" if grave == 1 else "warnings"} to read with this.</a>' if grave else ""
    by = f"Read from {escape(method_title(matrix.method))}, {seeds_title(matrix.num_seeds)}.{care}"
    return f'<ul class="answers">{items}</ul><p class="muted small">{by}</p>'


def write_report(folder: str | os.PathLike[str], reference: str = "leave_out") -> Path:
    """Write ``report.html`` for the tables that a folder holds, and draw the plots for it.

    Args:
        folder: The run's folder: ``influence.parquet``, and where they are there ``comparison.parquet``,
            ``examples.parquet``, ``notes.json`` (a list of ``{"level", "text"}``), ``run.json`` (``title``, ``asked``,
            ``command``, ``versions``, ``costs``, ``data``) and ``*.yaml``.
        reference: The method that counts as truth.

    Returns:
        The path of the report: one file with its style and pictures inside, which loads and runs nothing.

    Raises:
        ResultsError: If there are no influences, or a file is damaged.
    """
    folder = Path(folder)
    table = read_table(folder / "influence.parquet")
    methods = methods_of(table)
    if not methods:
        raise ResultsError(f"{folder / 'influence.parquet'} holds no rows: there is nothing to report yet.")
    run = sound_facts(_json(folder / "run.json", dict))
    read_texts(run.get("methods"))
    table = in_configured_order(table, run.get("data") or [])
    comparison, examples = _optional(folder / "comparison.parquet"), _optional(folder / "examples.parquet")
    remarks: list[Any] = sound_notes(_json(folder / "notes.json", list))

    save_plots(folder, table, reference)
    plots = folder / "plots"
    matrices = [influence_matrix(table, method) for method in methods]
    by_method = {matrix.method: matrix for matrix in matrices}
    checks = {matrix.method: self_check(matrix) for matrix in matrices}
    failed = {method for method, check in checks.items() if check is not None and not check.passed}
    headline = headline_method(methods, reference, failed)
    intervals = _intervals(table, methods)
    notes = _all_notes(remarks, matrices, reference, comparison, intervals)

    versions = table_html(("package", "version"), sorted((run.get("versions") or {}).items()))
    sections = [
        ("asked", "What was asked", _asked_section(run)),
        ("influence", "Influence of each corpus", _influence_section(matrices, intervals, headline, reference, plots)),
        ("chance", "What can be told apart", _chance_section(intervals, headline, plots)),
        ("steps", "Over the steps", _pictures(plots, "trajectory", methods, "Influence over steps")),
        (
            "retraining",
            "Against retraining",
            (comparison_section(comparison) if comparison is not None else "")
            + _pictures(plots, "scatter", methods, "Prediction against retraining"),
        ),
        ("examples", "Strongest examples", examples_section(examples) if examples is not None else ""),
        ("care", "Read with care", _notes_section(notes)),
        ("meaning", "What the numbers mean", MEANING),
        ("data", "Data", _data_section(run)),
        ("configuration", "Configuration", _config_section(folder)),
        ("versions", "Versions", versions if run.get("versions") else ""),
        ("costs", "Costs", _costs_section(run)),
    ]
    page = page_html(
        str(run.get("title") or f"Influences in {folder.resolve().name}"),
        _lead(
            without_self_sets(by_method[headline]),
            by_method.get(reference),
            [m for m in matrices if m.method not in (headline, reference, *failed)],
            intervals,
            notes,
        ),
        sections,
    )
    return atomic_write_bytes(folder / "report.html", page.encode("utf-8", errors="replace"))


def report_warnings(folder: str | os.PathLike[str], reference: str = "leave_out") -> list[str]:
    """What the report warns of, a sentence each, for the terminal.

    Args:
        folder: The run's folder.
        reference: The method that counts as truth.
    """
    folder = Path(folder)
    table = read_table(folder / "influence.parquet")
    methods = methods_of(table)
    notes = _all_notes(
        sound_notes(_json(folder / "notes.json", list)),
        [influence_matrix(table, method) for method in methods],
        reference,
        _optional(folder / "comparison.parquet"),
        _intervals(table, methods),
    )
    return [plain(sentence) for level, sentence in notes if level != "info"]


def _intervals(table: pa.Table, methods: list[str]) -> dict[str, InfluenceIntervals]:
    found = {method: influence_intervals(table, method) for method in methods}
    return {method: intervals for method, intervals in found.items() if intervals is not None}


def _all_notes(
    remarks: list[Any],
    matrices: list[InfluenceMatrix],
    reference: str,
    comparison: pa.Table | None,
    intervals: dict[str, InfluenceIntervals],
) -> list[tuple[str, Sentence]]:
    notes: list[tuple[str, Sentence]] = [(_level(remark), (_text(remark),)) for remark in remarks]
    notes += doubts(matrices, reference, comparison, intervals)
    return sorted(notes, key=lambda note: _LEVELS.index(note[0]))


def _level(remark: object) -> str:
    level = remark.get("level") if isinstance(remark, Mapping) else None
    return level if level in _LEVELS else "warning"


def _text(remark: object) -> str:
    return str(remark.get("text", "")) if isinstance(remark, Mapping) else str(remark)
