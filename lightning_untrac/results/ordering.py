"""Rows in the order in which the user named their corpora and test sets, which stored tables do not keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def in_configured_order(table: pa.Table, data: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Sort influences so that corpora and test sets first appear in their configured order.

    Args:
        table: Influences, with the columns ``corpus`` and ``test_set``.
        data: The ``data`` entries of ``run.json``: mappings with ``name`` and ``role``.

    Returns:
        The same rows; names that ``data`` lacks come last, as they came.
    """
    places: dict[str, dict[str, int]] = {"corpus": {}, "test set": {}}
    for entry in data:
        place = places.get(str(entry.get("role")), {})
        place.setdefault(str(entry.get("name")), len(place))
    corpora, test_sets = places["corpus"], places["test set"]
    pairs = list(zip(table["corpus"].to_pylist(), table["test_set"].to_pylist(), strict=True))
    unknown = len(pairs)

    def rank(index: int) -> tuple[int, int]:
        corpus, test_set = pairs[index]
        return corpora.get(corpus, unknown), test_sets.get(test_set, unknown)

    return table.take(sorted(range(len(pairs)), key=rank))
