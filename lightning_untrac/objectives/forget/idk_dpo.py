"""Prefer a refusal to the answer that is to be forgotten."""

from __future__ import annotations

from typing import ClassVar

from lightning_untrac.data.config import REFUSALS
from lightning_untrac.objectives.forget.dpo import DPO


class IdkDPO(DPO):
    """:class:`DPO` with a refusal as the other answer of a dataset that names none (TOFU, arXiv 2401.06121).

    The refusals are sentences such as "I don't know." from a list that ships, one for each example by its text; the
    authors draw another one each time.

    Args:
        beta: above 0; .1 is open-unlearning's.
        weight: what it is multiplied by.

    Raises:
        ValueError: for a beta that is not above 0.
    """

    name: ClassVar[str] = "idkdpo"
    alternatives_from: ClassVar[str | None] = REFUSALS
