"""What stands beside the texts of a dataset: how many times each stands in training, and which group it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_untrac.data.cells import as_text, comparable
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.errors import ConfigurationError

if TYPE_CHECKING:
    from datasets import Dataset

COPIES, GROUP = "untrac.copies", "untrac.group"
"""Columns of loaded rows beside those of their text; no source's column is asked for under such a name."""

MOST_COPIES = 100_000
"""More are another column."""


@dataclass(frozen=True)
class Marks:
    """What is known of each example beside its text.

    Attributes:
        copies: ``[examples]`` int64, how many times each stands in training; None where each does once.
        groups: the group of each, or None where there are none.
    """

    copies: np.ndarray | None = None
    groups: tuple[str, ...] | None = None

    def of(self, indices: np.ndarray) -> Marks:
        """Those of some examples."""
        groups = None if self.groups is None else tuple(self.groups[index] for index in indices.tolist())
        return Marks(None if self.copies is None else self.copies[indices], groups)

    def digest(self) -> str:
        """Equal for the same marks; empty where there are none."""
        if self.copies is None and self.groups is None:
            return ""
        copies = None if self.copies is None else self.copies.tolist()
        return hashlib.sha256(repr((copies, self.groups)).encode()).hexdigest()[:8]


def with_marks(rows: Dataset, texts: Dataset, config: DatasetConfig) -> Dataset:
    """Put the columns of ``copies`` and ``group`` beside those of the texts.

    Args:
        rows: as they were read.
        texts: the same rows with the columns of the texts alone.
        config: says which columns these are.

    Raises:
        ConfigurationError: if a cell is no number of copies, or no group.
    """
    if config.copies is not None:
        texts = texts.add_column(COPIES, _copies(rows, config.copies))
    if config.groups:
        columns = [_cells(rows, column) for column in config.groups]
        texts = texts.add_column(GROUP, [" ".join(cells) for cells in zip(*columns, strict=True)])
    return texts


def taken_off(rows: Dataset) -> tuple[Dataset, Marks]:
    """Rows with the columns of their text alone, and what stood beside it."""
    names = [name for name in (COPIES, GROUP) if name in rows.column_names]
    copies = np.asarray(rows[COPIES], dtype=np.int64) if COPIES in names else None
    groups = tuple(rows[GROUP]) if GROUP in names else None
    return rows.remove_columns(names) if names else rows, Marks(copies, groups)


def _copies(rows: Dataset, copies: str | int) -> list[int]:
    if isinstance(copies, int):
        return [copies] * len(rows)
    cells = _cells(rows, copies)
    numbers = [comparable(cell) for cell in cells]
    for index, number in enumerate(numbers):
        if not (isinstance(number, float) and number.is_integer() and 1 <= number <= MOST_COPIES):
            raise ConfigurationError(
                [
                    f"column {copies!r}, row {index + 1}: {cells[index]!r} is no number of copies; give a whole number "
                    f"from 1 to {MOST_COPIES:,} (what is never trained on is a holdout)"
                ]
            )
    return [int(number) for number in numbers if isinstance(number, float)]


def _cells(rows: Dataset, column: str) -> Sequence[str]:
    found = []
    for index, value in enumerate(rows[column]):
        try:
            text = as_text(value)
        except ValueError as error:
            raise ConfigurationError([f"column {column!r}, row {index + 1}: {error}"]) from error
        if text is None:
            raise ConfigurationError([f"column {column!r} is missing in row {index + 1}; fill it in or use `where`"])
        found.append(text)
    return found
