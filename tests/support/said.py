"""A measure that tells any two answers apart, given by class path in tests; kept out of the package."""

from __future__ import annotations

import zlib
from typing import Any

from lightning_untrac.decoding import Decoding
from lightning_untrac.metrics.answering import OfAnswers


class SaidDigest(OfAnswers):
    """A number of all that was said to a question: the likeliest answer, or several that were drawn."""

    name = "test_said_digest"

    def __init__(self, samples: int = 1, temperature: float = 0.0) -> None:
        super().__init__()
        self.decoding = Decoding(6, samples, temperature)

    def of_questions(self, answered: Any) -> list[float]:
        return [float(zlib.crc32(repr(said).encode())) for _, said in answered]


class DrawnDigest(SaidDigest):
    """The same of three draws."""

    name = "test_drawn_digest"

    def __init__(self) -> None:
        super().__init__(3, 1.0)
