import io
import re

import pytest
from rich.console import Console

from lightning_untrac.results import (
    compare,
    comparison_table,
    influence_intervals,
    influence_matrix,
    matrix_table,
    result_console,
    summary_table,
)
from lightning_untrac.results.style import format_number, scale_of, shorten_all
from lightning_untrac.results.terminal import LOG_WIDTH


def render(table, width=100):
    stream = io.StringIO()
    Console(file=stream, width=width).print(table, crop=False)
    return stream.getvalue()


def test_matrix_marks_strongest_and_flags(make_rows):
    rows = make_rows(corpora=("forum", "[bold]news", "wiki"), flagged=[("untrac", "wiki", "collapsed")])
    text = render(matrix_table(influence_matrix(rows, "untrac")))
    assert "nats per token (mean of 2 seeds)" in " ".join(text.split())
    assert "[bold]news" in text
    assert text.count("collapsed") == 2
    assert "\u25b8" not in text
    assert " ".join(text.split()).count("no verdict, because UnTrac made the model collapse for `wiki`.") == 2
    assert "Flagged cells are not to be trusted" in " ".join(text.split())
    sound = render(matrix_table(influence_matrix(make_rows(), "untrac")))
    line = next(line for line in sound.splitlines() if line.strip().startswith("forum"))
    assert line.count("\u25b8") == 2


def test_matrix_says_intervals_and_what_follows_from_them(make_rows):
    rows = make_rows(seeds=(0, 1, 2))
    intervals = influence_intervals(rows, "untrac")
    text = render(matrix_table(intervals.matrix, intervals))
    assert text.count("\u00b1") == 11  # ten cells and the line that explains it
    assert "95 % interval from 3 seeds" in " ".join(text.split())
    assert text.count("- `toxicity`: ") == 1


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_number_of_a_wide_matrix_is_whole_in_blocks_that_fit(make_rows, width):
    corpora = [f"a-long-name-of-a-corpus-of-the-web-crawl-part-{i}-of-8-cleaned" for i in range(8)]
    test_sets = [f"a-behaviour-under-very-long-prompts-{letter}" for letter in "abcdefgh"]
    rows = make_rows(corpora=corpora, test_sets=test_sets, seeds=(0, 1, 2))
    intervals = influence_intervals(rows, "untrac")
    matrix = intervals.matrix
    table = render(matrix_table(matrix, intervals, width), width).split("strongest of its column")[0]
    assert max(map(len, table.splitlines())) <= width
    for j in range(8):
        scale = scale_of(matrix.values[:, j])
        for i in range(8):
            half = format_number(float(intervals.half_widths[i, j]), scale, signed=False)
            assert f"{format_number(float(matrix.values[i, j]), scale)} \u00b1 {half}" in table
    names = set(re.findall(r"^a-\S+", table, re.MULTILINE))
    assert len(names) == 8
    assert all("\u2026" in name or name in corpora for name in names)


def test_of_many_corpora_the_strongest_are_shown(make_rows):
    rows = make_rows(corpora=[f"corpus-{i}" for i in range(60)], seeds=(0,))
    matrix = influence_matrix(rows, "untrac")
    text = " ".join(render(matrix_table(matrix, width=80), 80).split())
    assert text.count("corpus-0 +") == 2  # the strongest of both test sets
    assert "influence.parquet and the report hold all 120 influences" in text
    assert len(re.findall(r"corpus-\d+ [+\u2212]", text)) == 2 * 3


def test_names_stay_different_and_short_at_any_width():
    prefix = "crawl/2024/" + "x" * 60
    names = [f"{prefix}-{i}-{'y' * 40}-{i * 7919}" for i in range(30)] + ["a", "b" * 100, "b" * 99 + "c"]
    for width in (8, 12, 26):
        short = shorten_all(names, width)
        assert len(set(short.values())) == len(names)
        assert max(map(len, short.values())) <= width
        assert short["a"] == "a"


def test_where_there_is_no_terminal_tables_have_a_width_of_their_own(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert result_console().width == LOG_WIDTH
    monkeypatch.setenv("COLUMNS", "140")
    assert result_console().width == 140


def test_comparison_fits_a_small_terminal_and_says_its_notes(rows):
    text = render(comparison_table(compare(rows, num_resamples=50), 80), width=80)
    assert "5 corpora: |r| > 0.88 is needed for p < .05." in text
    assert all(name in text for name in ("UnTrac", "Leave-out retraining (other seeds)", "toxicity", "mean"))
    assert text.count("Pearson [95% CI]") == 1
    assert "\u2026" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def measured(dataset, value, step, statistic="mean", measure="loss", **more):
    row = {"model": "a", "measure": measure, "dataset": dataset, "statistic": statistic, "value": value, "step": step}
    unit = {"weight": "target tokens", "count": "examples"}.get(statistic, "u")
    return {**row, "unit": unit, "ci_low": None, "ci_high": None, "status": "ok", **more}


def test_a_summary_shows_two_models_only_if_there_are_two():
    counts = [measured("d", 12345.0, 0, "weight"), measured("d", 7.0, 0, "count")]
    one = [measured("d", 2.5, 0, ci_low=2.25, ci_high=2.75), *counts]
    text = render(summary_table(one))
    assert "before" not in text
    assert all(number in text for number in ("2.50", "0.25", "12,345", "7"))
    assert "Means over the target tokens of each dataset" in text
    assert "examples" in text
    other = measured("d", 0.7, 4, "pass_mean", measure="memorisation_accuracy")
    assert render(summary_table([*one, other])) == text, "a measure without a mean has no rows"
    packed = [{**row, "unit": "blocks" if row["statistic"] == "count" else row["unit"]} for row in one]
    text = render(summary_table(packed))
    assert "blocks" in text
    assert "examples" not in text
    both = [*one, measured("d", 3.0, 8, status="collapsed")]
    text = render(summary_table(both, names=("before", "after")))
    assert all(said in text for said in ("before", "after", "3.00 collapsed", "+0.50"))


def test_a_summary_of_long_names_and_many_measures_fits_a_small_terminal():
    rows = [
        measured("name" * 20, value, step, statistic, measure)
        for measure in ("loss", "memorisation_accuracy", "nobody_has_described_this")
        for step in (0, 8)
        for statistic, value in (("mean", 2.5 + step), ("weight", 12345678.0), ("count", 7000.0))
    ]
    text = render(summary_table(rows, 60), width=60)
    assert all(number in text for number in ("2.50", "10.5", "+8.00", "12,345,678", "7,000"))
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "nobody_has_described_this" in text
