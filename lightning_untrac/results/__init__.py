"""Comparisons, plots and reports of a run.

Names are loaded on first use, so that importing this costs nothing; ``__init__.pyi`` lists them. The tables' names are
those of :mod:`lightning_untrac.tables`.
"""

from typing import Any

import lazy_loader

from lightning_untrac import tables

_own, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "losses_table":  # not an AttributeError, whose text `from ... import` would drop
        raise ImportError("losses_table went with losses.parquet; summary_table shows rows of summary.parquet")
    if name in tables.GONE:
        return getattr(tables, name)
    return getattr(tables, name) if name in tables.__all__ else _own(name)
