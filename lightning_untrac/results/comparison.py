"""Agreement of attribution methods with retraining, with intervals and a noise ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.results.matrix import InfluenceMatrix, Readout, influence_matrix, methods_of
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.schema import InfluenceRow, ResultsError, comparison_schema
from lightning_untrac.results.self_check import without_self_sets
from lightning_untrac.results.uncertainty import influence_intervals

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.functional.correlation import BootstrapInterval

#: Name of the row that averages over test sets.
MEAN: Final = "mean"
_SMALL: Final = 30
#: Below this many corpora resamples are mostly the same points again.
_FEWEST_FOR_INTERVAL: Final = 5


def ceiling_name(reference: str) -> str:
    """What the noise ceiling is called in the ``method`` column."""
    return f"{reference} (other seeds)"


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _size_note(num_corpora: int) -> str:
    from lightning_untrac.functional.correlation import critical_pearson

    if num_corpora < 3:
        return f"{num_corpora} corpora: a correlation says nothing with fewer than three"
    if num_corpora < _FEWEST_FOR_INTERVAL:
        return f"{num_corpora} corpora: too few for a correlation to mean much, or to have an interval"
    if num_corpora < _SMALL:
        return f"{num_corpora} corpora: |r| > {critical_pearson(num_corpora):.2f} is needed for p < .05"
    return ""


def _interval(left: Any, right: Any, num_resamples: int, seed: int) -> BootstrapInterval:
    """The bootstrap interval; none where resamples of so few corpora are mostly the same points again."""
    from lightning_untrac.functional.correlation import BootstrapInterval, bootstrap_interval

    if len(left) < _FEWEST_FOR_INTERVAL:
        return BootstrapInterval(float("nan"), float("nan"), 0)
    return bootstrap_interval(left, right, num_resamples=num_resamples, seed=seed)


def _rows(
    pairs: Sequence[tuple[InfluenceMatrix, InfluenceMatrix]],
    method: str,
    reference: str,
    num_resamples: int,
    seed: int,
    remark: str,
    num_seeds: int,
) -> list[dict[str, Any]]:
    """Rows of one method: the mean over ``pairs`` of matrices with the same corpora and test sets."""
    from lightning_untrac.functional.correlation import pearson, spearman, top1_agreement

    first = pairs[0][0]
    rows: list[dict[str, Any]] = []
    left_columns, right_columns = [], []
    for column, test_set in enumerate(first.test_sets):
        scores: dict[str, list[float]] = {"pearson": [], "spearman": [], "top1": []}
        used = np.ones(len(first.corpora), dtype=bool)
        for mine, theirs in pairs:
            used &= mine.usable[:, column] & theirs.usable[:, column]
        left = np.stack([np.where(used, m.values[:, column], np.nan) for m, _ in pairs], 1)
        right = np.stack([np.where(used, t.values[:, column], np.nan) for _, t in pairs], 1)
        for x, y in zip(left[used].T, right[used].T, strict=True):
            scores["pearson"].append(pearson(x, y))
            scores["spearman"].append(spearman(x, y))
            scores["top1"].append(top1_agreement(x, y))
        interval = _interval(left, right, num_resamples, seed)
        left_columns.append(left)
        right_columns.append(right)
        excluded = [name for name, keep in zip(first.corpora, used, strict=True) if not keep]
        notes = [
            remark,
            f"left out, because collapsed, not finite or missing: {', '.join(excluded)}" if excluded else "",
            _size_note(int(used.sum())),
            f"{interval.num_dropped} of {num_resamples} resamples were constant" if interval.num_dropped else "",
        ]
        rows.append(
            {
                "method": method,
                "reference": reference,
                "test_set": test_set,
                **{name: _mean(values) for name, values in scores.items()},
                "ci_low": interval.low,
                "ci_high": interval.high,
                "num_corpora": int(used.sum()),
                "num_seeds": num_seeds,
                "note": "; ".join(note for note in notes if note),
            }
        )
    joint = _interval(np.concatenate(left_columns, 1), np.concatenate(right_columns, 1), num_resamples, seed)
    defined = sum(bool(np.isfinite(row["pearson"])) for row in rows)
    fewest = min(row["num_corpora"] for row in rows)
    notes = [remark, f"mean over {defined} of {len(rows)} test sets" if defined < len(rows) else "", _size_note(fewest)]
    mean_row = {
        **rows[0],
        "test_set": MEAN,
        **{name: _mean(row[name] for row in rows) for name in ("pearson", "spearman", "top1")},
        "ci_low": joint.low,
        "ci_high": joint.high,
        "num_corpora": fewest,
        "note": "; ".join(note for note in notes if note),
    }
    return [*rows, mean_row]


def _unmatched(mine: InfluenceMatrix, theirs: InfluenceMatrix, corpora: list[str], test_sets: list[str]) -> str:
    notes = []
    if mine.seeds != theirs.seeds:
        ours, other = (", ".join(map(str, m.seeds)) for m in (mine, theirs))
        notes.append(f"seeds {ours} against {theirs.method}'s {other}")
    for what, shared, sides in (
        ("corpora", corpora, (mine.corpora, theirs.corpora)),
        ("test sets", test_sets, (mine.test_sets, theirs.test_sets)),
    ):
        alone = sorted(set(sides[0]) ^ set(sides[1]))
        if alone:
            notes.append(f"{len(shared)} {what} in common, without {', '.join(alone)}")
    return "; ".join(notes)


def compare(
    table: pa.Table | Sequence[InfluenceRow],
    reference: str = "leave_out",
    methods: Sequence[str] | None = None,
    num_resamples: int = 2000,
    seed: int = 0,
    *,
    readout: Readout = "difference",
) -> pa.Table:
    """Correlate every method with a reference over corpora, for each test set and on average.

    Influences are averaged over seeds first. Parts of the corpora (``data.self_examples``) are not compared: who finds
    a corpus in itself says little about the rest. Cells that are flagged in either method are left out. Where the
    reference has two or more seeds, rows named ``"leave_out (other seeds)"`` say how well it agrees with itself, seed
    against seed: no method can be expected to do much better.

    Args:
        table: Readings of the methods and of the reference.
        reference: The method that counts as truth.
        methods: Which methods; all others in the table if ``None``.
        num_resamples: Bootstrap resamples of the corpora behind ``ci_low`` and ``ci_high``.
        seed: Seed of the bootstrap.
        readout: How influences are read for methods that have losses, see :func:`influence_matrix`.

    Returns:
        A table of ``COMPARISON_SCHEMA``: each method's test sets and then its row ``test_set="mean"``.

    Raises:
        ResultsError: If the reference or a method is missing, there is nothing to compare, or methods share fewer than
            two corpora.
    """
    import pyarrow as pa

    known = methods_of(table)
    if reference not in known:
        how = " Run `untrac leave-out` with the same corpora and test sets first." if reference == "leave_out" else ""
        raise ResultsError(
            f"The reference {reference!r} is not in the table, which has: {', '.join(known) or 'nothing'}.{how}"
        )
    truth = without_self_sets(influence_matrix(table, reference, readout=readout))
    chosen = [m for m in known if m != reference] if methods is None else list(methods)
    if not chosen and truth.num_seeds < 2:
        raise ResultsError(f"The table has only {reference!r}: there is nothing to compare. Run `untrac trace` first.")

    chance = influence_intervals(table, reference, num_resamples=num_resamples, seed=seed)
    blurred = [t for t in truth.test_sets if chance is not None and not chance.tells_apart(t)]
    rows: list[dict[str, Any]] = []
    for method in chosen:
        mine = without_self_sets(influence_matrix(table, method, readout=_readout_for(table, method, readout)))
        corpora = [c for c in truth.corpora if c in mine.corpora]
        test_sets = [t for t in truth.test_sets if t in mine.test_sets]
        if len(corpora) < 2 or not test_sets:
            raise ResultsError(
                f"{method!r} and {reference!r} share {len(corpora)} corpora and {len(test_sets)} test sets; a "
                "comparison needs at least two corpora and one test set. Run both on the same ones."
            )
        a, b = mine.select(corpora, test_sets), truth.select(corpora, test_sets)
        remark = _unmatched(mine, truth, corpora, test_sets)
        rows += _rows([(a, b)], method, reference, num_resamples, seed, remark, mine.num_seeds)

    if truth.num_seeds >= 2 and len(truth.corpora) >= 2:
        each = [
            influence_matrix(
                table, reference, corpora=truth.corpora, test_sets=truth.test_sets, seeds=[s], readout=readout
            )
            for s in truth.seeds
        ]
        pairs = list(combinations(each, 2))
        remark = f"noise ceiling: one seed against another{f', mean over {len(pairs)} pairs' if len(pairs) > 1 else ''}"
        rows += _rows(pairs, ceiling_name(reference), reference, num_resamples, seed, remark, truth.num_seeds)
    for row in rows:
        if row["test_set"] in blurred:
            row["note"] = "; ".join(filter(None, [row["note"], f"{reference} cannot tell the corpora apart here"]))
    if not rows:
        raise ResultsError(f"{reference!r} has one corpus only; a comparison needs at least two. Trace more corpora.")
    return pa.Table.from_pylist(rows, schema=comparison_schema())


def _readout_for(table: pa.Table | Sequence[InfluenceRow], method: str, readout: Readout) -> Readout:
    """Scores without losses, such as GradDot, have one reading only."""
    try:
        influence_matrix(table, method, readout=readout)
    except ResultsError:
        return "difference"
    return readout


def comparison_notes(comparison: pa.Table) -> list[str]:
    """What must be said with a comparison, each thing once.

    Args:
        comparison: Rows of ``COMPARISON_SCHEMA``.

    Returns:
        Sentences; a note that only some rows have says which.
    """
    seen: dict[str, list[str]] = {}
    rows = comparison.to_pylist()
    for row in rows:
        for note in filter(None, (row["note"] or "").split("; ")):
            seen.setdefault(note, []).append(f"{method_title(row['method'])}, {row['test_set']}")
    return [
        f"{note[0].upper()}{note[1:]}."
        if len(where) == len(rows) or len(where) > 3
        else f"{note[0].upper()}{note[1:]} ({'; '.join(where)})."
        for note, where in seen.items()
    ]
