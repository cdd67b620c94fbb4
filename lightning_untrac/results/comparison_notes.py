"""What must be said with a comparison, each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.results.methods import method_title

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that a note names.
_MOST_PLACES: Final = 6


def comparison_notes(comparison: pa.Table) -> list[str]:
    """What must be said with a comparison, each thing once.

    Args:
        comparison: Rows of ``COMPARISON_SCHEMA``.

    Returns:
        Sentences; a note that only some rows have says which.
    """
    seen: dict[str, list[dict[str, Any]]] = {}
    rows = comparison.to_pylist()
    for row in rows:
        for note in filter(None, (row["note"] or "").split("; ")):
            seen.setdefault(note, []).append(row)
    return [f"{note[0].upper()}{note[1:]}{_where(having, rows)}." for note, having in seen.items()]


def _where(having: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> str:
    """Which rows a note is of: nothing where it is of all, or names what they have in common."""
    if len(having) == len(rows):
        return ""
    test_sets = list(dict.fromkeys(row["test_set"] for row in having))
    methods = list(dict.fromkeys(row["method"] for row in having))
    titles = [method_title(method) for method in methods]
    if len(having) == sum(row["method"] in methods for row in rows):
        where = titles
    elif len(having) == sum(row["test_set"] in test_sets for row in rows):
        where = test_sets
    else:
        where = [f"{method_title(row['method'])}, {row['test_set']}" for row in having]
    more = f"; and {len(where) - _MOST_PLACES} more" if len(where) > _MOST_PLACES else ""
    return f" ({'; '.join(where[:_MOST_PLACES])}{more})"
