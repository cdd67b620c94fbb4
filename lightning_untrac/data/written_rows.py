"""Examples that were made while a fit runs, as a dataset of the loader."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightning_untrac.data.question_frame import Row
from lightning_untrac.functional import IGNORE_INDEX


class WrittenRows:
    """Rows of token ids.

    Args:
        name: of the dataset.
        rows: that it has.

    Example:
        >>> rows = WrittenRows("x", [Row(np.array([4, 5]), np.array([-100, 5]))])
        >>> len(rows), rows.lengths().tolist(), rows.target_counts().tolist()
        (1, [2], [1])
    """

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.name, self.rows = name, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.rows[index]._asdict()

    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.array([len(row.input_ids) for row in self.rows], dtype=np.int64)

    def target_counts(self) -> np.ndarray:
        """Target tokens of each row."""
        return np.array([int((row.labels != IGNORE_INDEX).sum()) for row in self.rows], dtype=np.int64)
