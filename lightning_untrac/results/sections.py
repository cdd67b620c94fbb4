"""The parts of a report that show tables of influences."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from lightning_untrac.results.colours import colour_shares
from lightning_untrac.results.comparison import MEAN
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import MINUS, format_number, scale_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.results.uncertainty import InfluenceIntervals

_NUM_EXAMPLES = 10

MEANING = """
<p>An influence is a loss after minus the loss before, in <strong>nats per token</strong>: the natural logarithm of how
much less likely a token of the test set became, on average (for UnTrac-Inv: a token of the corpus, once the test set
was unlearned; for leave-out continuation the loss before is that of a control that goes on with all corpora).
<strong>Positive</strong>: the corpus helps the model to produce the test set.
<strong>Negative</strong>: the corpus works against it. A loss that rises by 0.01 is a perplexity 1% higher; 0.1 is 11%
higher; 0.69 is twice as high; 2.3 is ten times as high.</p>
<p>Do not trust a number</p><ul>
<li>whose cell is flagged: a collapsed model is bad at everything, so that its losses say little about one corpus;</li>
<li>that cannot be told apart from its neighbour, or whose interval holds zero: ± is half of a 95 % interval, of
what another choice of as many examples, and other seeds where there are several, would have changed. The model's own
training and the choice of its corpora are not part of it;</li>
<li>across columns: test sets differ in how far their loss can rise, so that only corpora of one column compare;</li>
<li>as a share: influences of corpora need not add up to anything;</li>
<li>of a method that does not agree with retraining on a model and data like yours;</li>
<li>of retraining or continuation by its sign alone: without a corpus the others are trained on more, which moves all
influences of a column down together.</li></ul>
"""


def matrix_section(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None = None) -> str:
    """A matrix as a table whose cells are coloured per column.

    Args:
        matrix: K corpora x M test sets.
        intervals: Its intervals, if it has any; half of each stands beside the number.

    Returns:
        The markup.
    """
    strongest, tints = matrix.strongest(), colour_shares(matrix)
    scales = [
        scale_of(matrix.values[matrix.usable[:, j], j]) or scale_of(matrix.values[:, j])
        for j in range(len(matrix.test_sets))
    ]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in matrix.test_sets)
    rows = []
    for i, corpus in enumerate(matrix.corpora):
        cells = []
        for j, scale in enumerate(scales):
            value, flag = float(matrix.values[i, j]), str(matrix.flags[i, j])
            best = " best" if corpus == strongest[j] else ""
            half = math.nan if intervals is None else float(intervals.half_widths[i, j])
            if flag != "ok":
                tag = f'<span class="tag">{escape(FLAG_TITLES.get(flag, flag))}</span>'
                cells.append(f'<td class="flag{best}">{format_number(value)}{tag}</td>')
                continue
            share = float(tints[i, j])
            colour = f"rgba(var(--{'hot' if share > 0 else 'cold'}), {abs(share) * 0.55:.3f})"
            spread = f'<span class="tag">\u00b1 {format_number(half, scale, signed=False)}</span>'
            cells.append(
                f'<td class="cell{best}" style="background: {colour}">{format_number(value, scale)}'
                f"{spread if math.isfinite(half) else ''}</td>"
            )
        rows.append(f'<tr><th scope="row">{escape(corpus)}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _share(value: float | None) -> str:
    return "\u2013" if value is None or math.isnan(value) else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "\u2013" if value is None or math.isnan(value) else f"{value:.2f}".replace("-", MINUS)


def _bar(row: dict[str, Any]) -> str:
    """A correlation and its interval on a line from -1 to 1."""
    r, low, high = row["pearson"], row["ci_low"], row["ci_high"]
    if r is None or math.isnan(r):
        return ""
    interval = ""
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        interval = f'<i style="left: {50 + 50 * low:.1f}%; width: {max(50 * (high - low), 0.5):.1f}%"></i>'
    return f'<div class="bar">{interval}<b style="left: {50 + 50 * r:.1f}%"></b></div>'


def comparison_section(comparison: pa.Table) -> str:
    """How well methods agree with the reference, as a table with intervals drawn in.

    Args:
        comparison: Rows of ``COMPARISON_SCHEMA``.

    Returns:
        The markup; empty if there are no rows.
    """
    records = comparison.to_pylist()
    if not records:
        return ""
    rows, sizes = [], Counter(row["method"] for row in records)
    previous = None
    for row in records:
        first = row["method"] != previous
        group = f'<td class="group" rowspan="{sizes[row["method"]]}">{escape(method_title(row["method"]))}</td>'
        previous = row["method"]
        total = ' class="total"' if row["test_set"] == MEAN else ""
        low, high = _number(row["ci_low"]), _number(row["ci_high"])
        interval = low if low == high else f"{low} to {high}"
        rows.append(
            f"<tr{total}>{group if first else ''}<td>{escape(row['test_set'])}</td>"
            f'<td class="n">{_number(row["pearson"])}</td><td>{_bar(row)}</td>'
            f'<td class="n">{interval}</td>'
            f'<td class="n">{_number(row["spearman"])}</td><td class="n">{_share(row["top1"])}</td>'
            f'<td class="n">{row["num_corpora"]}</td><td class="n">{row["num_seeds"]}</td></tr>'
        )
    head = (
        '<th>method</th><th>test set</th><th class="n">Pearson</th><th>\u22121 to 1</th><th class="n">95% interval</th>'
        '<th class="n">Spearman</th><th class="n">same strongest</th><th class="n">corpora</th><th class="n">seeds</th>'
    )
    reference = escape(method_title(records[0]["reference"]).lower())
    return (
        f"<p>How well each method's influences agree with {reference} over the corpora. The interval comes from "
        "resampling corpora; where a noise ceiling is given, it says how well retraining agrees with itself under "
        "another seed.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def examples_section(examples: pa.Table) -> str:
    """The examples with the largest influence on each test set, by index and hash: a report quotes no data.

    Args:
        examples: Rows of ``EXAMPLES_SCHEMA``.

    Returns:
        The markup; empty if there are no rows.
    """
    groups: dict[tuple[str, str], dict[tuple[str, int], list[dict[str, Any]]]] = {}
    for row in examples.to_pylist():
        group = groups.setdefault((row["method"], row["test_set"]), {})
        group.setdefault((row["corpus"], row["example"]), []).append(row)
    parts: list[str] = []
    for (method, test_set), group in groups.items():
        scored = []
        for (corpus, index), readings in group.items():
            mean = math.fsum(r["influence"] for r in readings) / len(readings)
            status = next((r["status"] for r in readings if r["status"] != "ok"), "ok")
            if math.isfinite(mean):
                scored.append((mean, corpus, index, readings[0]["content_hash"], readings[0]["num_tokens"], status))
        scored.sort(key=lambda item: (-item[0], item[1], item[2]))
        scale = abs(scored[0][0]) if scored else 0.0
        rows = [
            (rank, corpus, index, (content_hash or "")[:16], format_number(mean, scale), tokens, status)
            for rank, (mean, corpus, index, content_hash, tokens, status) in enumerate(scored[:_NUM_EXAMPLES], 1)
        ]
        head = ("", "corpus", "example", "content hash", "influence", "tokens", "status")
        parts.append(
            f"<details{' open' if not parts else ''}><summary>{escape(test_set)}, {escape(method_title(method))}: "
            f"{len(rows)} of {len(scored):,} examples</summary>{table_html(head, rows, numbers=(0, 2, 4, 5))}</details>"
        )
    return "".join(parts)
