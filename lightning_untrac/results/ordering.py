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
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ranks = []
    for column, role in (("corpus", "corpus"), ("test_set", "test set")):
        known = pa.array(list(places[role]), pa.string())
        ranks.append(pc.fill_null(pc.index_in(table[column], known), len(table)).to_numpy())
    # Names that are not in the configuration come after all others, in any column.
    ranks = [np.where(rank == len(table), np.iinfo(np.int64).max, rank.astype(np.int64)) for rank in ranks]
    return table.take(pa.array(np.lexsort((ranks[1], ranks[0]))))
