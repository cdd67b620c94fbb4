"""Rows of influence.parquet for all tests in this folder."""

from influence_rows import make_rows, rows

__all__ = ["make_rows", "rows"]
