import io

import pyarrow as pa
from rich.console import Console

from lightning_untrac.results import (
    LOSSES_SCHEMA,
    compare,
    comparison_table,
    influence_intervals,
    influence_matrix,
    losses_table,
    matrix_table,
)


def render(table, width=100):
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue()


def test_matrix_marks_strongest_and_flags(make_rows):
    rows = make_rows(corpora=("forum", "[bold]news", "wiki"), flagged=[("untrac", "wiki", "collapsed")])
    text = render(matrix_table(influence_matrix(rows, "untrac")))
    assert "nats per token (mean of 2 seeds)" in " ".join(text.split())
    assert "[bold]news" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("forum"))
    assert line.count("\u25b8") == 2
    assert text.count("collapsed") == 2
    assert "Flagged cells are not to be trusted" in " ".join(text.split())


def test_matrix_says_intervals_and_what_follows_from_them(make_rows):
    rows = make_rows(seeds=(0, 1, 2))
    intervals = influence_intervals(rows, "untrac")
    text = render(matrix_table(intervals.matrix, intervals))
    assert text.count("\u00b1") == 11  # ten cells and the line that explains it
    assert "95 % interval from 3 seeds" in " ".join(text.split())
    assert text.count("- `toxicity`: ") == 1


def test_comparison_fits_a_small_terminal_and_says_its_notes(rows):
    text = render(comparison_table(compare(rows, num_resamples=50)), width=80)
    assert "5 corpora: |r| > 0.88 is needed for p < .05." in text
    assert all(name in text for name in ("UnTrac", "Leave-out retraining (other seeds)", "toxicity", "mean"))
    assert all(len(line) <= 80 for line in text.splitlines())


def test_losses_show_a_reference_only_if_there_is_one():
    row = {"model": "a", "dataset": "d", "loss": 2.5, "num_tokens": 12345, "num_examples": 7}
    text = render(losses_table(pa.Table.from_pylist([row], schema=LOSSES_SCHEMA)))
    assert "reference" not in text
    assert "12,345" in text
    both = {**row, "reference_loss": 2.0, "difference": 0.5}
    text = render(losses_table(pa.Table.from_pylist([row, both], schema=LOSSES_SCHEMA)))
    assert "reference" in text
    assert "+0.50" in text
