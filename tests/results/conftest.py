"""Rows of influence.parquet for all tests in this folder."""

import pytest
from influence_rows import make_rows, rows

from lightning_untrac.attribution import METHODS

__all__ = ["make_rows", "rows"]


@pytest.fixture(autouse=True, scope="session")
def _methods_have_titles() -> None:
    """Methods say what they are called when they are imported; no test depends on which other one ran before it."""
    METHODS.names()
