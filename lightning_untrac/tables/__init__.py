"""Schemas and files: written whole or not at all.

Names are loaded on first use, so that importing this costs nothing; ``__init__.pyi`` lists them.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

GONE = {
    "LOSSES_SCHEMA": "LOSSES_SCHEMA went with losses.parquet: `untrac evaluate` and `untrac unlearn` write "
    "summary.parquet (SUMMARY_SCHEMA) and measurements.parquet (MEASUREMENTS_SCHEMA) now"
}
"""Public names of earlier versions, and what to use now."""


def __getattr__(name: str) -> Any:
    """Load a public name; say what took the place of one that is gone."""
    if name in GONE:  # not an AttributeError, whose text `from ... import` would drop
        raise ImportError(GONE[name])
    return _load(name)
