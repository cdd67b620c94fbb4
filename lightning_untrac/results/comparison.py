"""Agreement of attribution methods with retraining, with intervals and a noise ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.results.matrix import InfluenceMatrix, Readout, influence_matrix, methods_of
from lightning_untrac.results.methods import REFERENCE, method_title
from lightning_untrac.results.self_check import without_self_sets
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.soundness import why_no_verdict
from lightning_untrac.results.uncertainty import influence_intervals
from lightning_untrac.tables.schema import InfluenceRow, ResultsError, comparison_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.functional.correlation import BootstrapInterval

#: Name of the row that averages over test sets.
MEAN: Final = "mean"
_SMALL: Final = 30
#: With two corpora a correlation is 1 or -1 whatever they are.
_FEWEST_FOR_CORRELATION: Final = 3
#: Below this many corpora resamples are mostly the same points again.
_FEWEST_FOR_INTERVAL: Final = 5
#: An interval wider than this, of the 2 that there are, excludes next to nothing.
_WIDEST: Final = 1.8


def ceiling_name(reference: str) -> str:
    """What the noise ceiling is called in the ``method`` column."""
    return f"{reference} (other seeds)"


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _size_note(num_corpora: int) -> str:
    from lightning_untrac.functional.correlation import critical_pearson

    if num_corpora < _FEWEST_FOR_CORRELATION:
        return f"{num_corpora} corpora: a correlation says nothing with fewer than three"
    if num_corpora < _FEWEST_FOR_INTERVAL:
        return f"{num_corpora} corpora: too few for a correlation to mean much, or to have an interval"
    if num_corpora < _SMALL:
        return f"{num_corpora} corpora: |r| > {critical_pearson(num_corpora):.2f} is needed for p < .05"
    return ""


def _interval(left: Any, right: Any, num_resamples: int, seed: int) -> BootstrapInterval:
    """The bootstrap interval; none where resamples of so few corpora are mostly the same points again."""
    from lightning_untrac.functional.correlation import BootstrapInterval, bootstrap_interval

    if np.isfinite(left + right).all(axis=1).sum() < _FEWEST_FOR_INTERVAL:
        return BootstrapInterval(float("nan"), float("nan"), 0)
    return bootstrap_interval(left, right, num_resamples=num_resamples, seed=seed)


def _told(interval: BootstrapInterval) -> tuple[float, float, str]:
    """The ends of an interval that excludes something; otherwise none, and why."""
    if interval.high - interval.low > _WIDEST:
        return float("nan"), float("nan"), "no interval: resamples of so few corpora leave nearly every value possible"
    return interval.low, interval.high, ""


def _whole(matrix: InfluenceMatrix, test_set: str, corpora: Sequence[str]) -> bool:
    """Whether a method names a first corpus for a test set, and that is among those compared."""
    first = matrix.strongest()[matrix.test_sets.index(test_set)]
    return first in corpora


def _rows(
    pairs: Sequence[tuple[InfluenceMatrix, InfluenceMatrix]],
    method: str,
    reference: str,
    num_resamples: int,
    seed: int,
    remark: str,
    num_seeds: int,
) -> list[dict[str, Any]]:
    """Rows of one method: the mean over ``pairs`` of matrices, each over the corpora and test sets of both."""
    from lightning_untrac.functional.correlation import pearson, spearman, top1_agreement

    corpora = [name for name in pairs[0][1].corpora if name in pairs[0][0].corpora]
    rows: list[dict[str, Any]] = []
    left_columns, right_columns = [], []
    for test_set in (name for name in pairs[0][1].test_sets if name in pairs[0][0].test_sets):
        scores: dict[str, list[float]] = {"pearson": [], "spearman": [], "top1": []}
        cells = [(m.select(corpora, [test_set]), t.select(corpora, [test_set])) for m, t in pairs]
        used = np.logical_and.reduce([m.usable[:, 0] & t.usable[:, 0] for m, t in cells])
        whole = all(_whole(side, test_set, corpora) for pair in pairs for side in pair)
        left = np.stack([np.where(used, m.values[:, 0], np.nan) for m, _ in cells], 1)
        right = np.stack([np.where(used, t.values[:, 0], np.nan) for _, t in cells], 1)
        for x, y in zip(left[used].T, right[used].T, strict=True):
            if used.sum() >= _FEWEST_FOR_CORRELATION:
                scores["pearson"].append(pearson(x, y))
                scores["spearman"].append(spearman(x, y))
            if whole:
                scores["top1"].append(top1_agreement(x, y))
        interval = _interval(left, right, num_resamples, seed)
        low, high, why_none = _told(interval)
        if whole:
            left_columns.append(left)
            right_columns.append(right)
        excluded = [name for name, keep in zip(corpora, used, strict=True) if not keep]
        notes = [
            remark,
            f"left out, because collapsed, worse than guessing, not finite or missing: {', '.join(excluded)}"
            if excluded
            else "",
            "" if whole else _why_partial(pairs, test_set, corpora),
            _size_note(int(used.sum())),
            f"{interval.num_dropped} of {num_resamples} resamples were constant" if interval.num_dropped else "",
            why_none,
        ]
        rows.append(
            {
                "method": method,
                "reference": reference,
                "test_set": test_set,
                **{name: _mean(values) for name, values in scores.items()},
                "ci_low": low,
                "ci_high": high,
                "num_corpora": int(used.sum()),
                "num_seeds": num_seeds,
                "note": "; ".join(note for note in notes if note),
                "whole": whole,
            }
        )
    mean_row = _mean_row(rows, left_columns, right_columns, num_resamples, seed, remark)
    return [{name: row[name] for name in row if name != "whole"} for row in (*rows, mean_row)]


def _mean_row(
    rows: Sequence[dict[str, Any]], left: list[Any], right: list[Any], num_resamples: int, seed: int, remark: str
) -> dict[str, Any]:
    """The mean over the test sets whose columns are whole: a partial one is another question."""
    sound = [row for row in rows if row["whole"]]
    low, high, why_none = float("nan"), float("nan"), ""
    if sound:
        low, high, why_none = _told(_interval(np.concatenate(left, 1), np.concatenate(right, 1), num_resamples, seed))
    defined = sum(bool(np.isfinite(row["pearson"])) for row in sound)
    fewest = min(row["num_corpora"] for row in sound or rows)
    over = f"mean over {defined} of {len(rows)} test sets" if defined < len(rows) else ""
    return {
        **rows[0],
        "test_set": MEAN,
        **{name: _mean(row[name] for row in sound) for name in ("pearson", "spearman", "top1")},
        "ci_low": low,
        "ci_high": high,
        "num_corpora": fewest,
        "note": "; ".join(note for note in (remark, over, _size_note(fewest), why_none) if note),
    }


def _why_partial(
    pairs: Sequence[tuple[InfluenceMatrix, InfluenceMatrix]], test_set: str, corpora: Sequence[str]
) -> str:
    """Why it is not said whether both have the same corpus first."""
    for side in (side for pair in pairs for side in pair):
        if reason := why_no_verdict(side, test_set):
            return f"no top 1, and not in the mean, because {plain(reason)}"
        first = side.strongest()[side.test_sets.index(test_set)]
        if first not in corpora:
            title = method_title(side.method)
            return f"no top 1, and not in the mean, because {first}, which is first by {title}, is not compared"
    return ""


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
    reference: str = REFERENCE,
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
        how = " Run `untrac leave-out` with the same corpora and test sets first." if reference == REFERENCE else ""
        raise ResultsError(
            f"The reference {reference!r} is not in the table, which has: {', '.join(known) or 'nothing'}.{how}"
        )
    truth = without_self_sets(influence_matrix(table, reference, readout=readout))
    chosen = [m for m in known if m != reference] if methods is None else list(methods)
    if not chosen and truth.num_seeds < 2:
        raise ResultsError(f"The table has only {reference!r}: there is nothing to compare. Run `untrac trace` first.")

    chance = influence_intervals(table, reference, num_resamples=num_resamples, seed=seed)
    sound = [test_set for test_set, first in zip(truth.test_sets, truth.strongest(), strict=True) if first]
    blurred = [test_set for test_set in sound if chance is not None and not chance.tells_apart(test_set)]
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
        remark = _unmatched(mine, truth, corpora, test_sets)
        rows += _rows([(mine, truth)], method, reference, num_resamples, seed, remark, mine.num_seeds)

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
            unclear = f"{method_title(reference)} cannot tell the corpora apart"
            row["note"] = "; ".join(filter(None, [row["note"], unclear]))
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
