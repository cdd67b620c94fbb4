"""Examples that enter training by the flip of a coin, and those that stay out by the same coins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.canaries import coins_of

if TYPE_CHECKING:
    from datasets import Dataset

Side = Literal["in", "out"]

HOME: Final[Mapping[str, tuple[str, ...]]] = {"in": ("corpora", "forget"), "out": ("holdout",)}
"""Where the examples of each side belong."""


@dataclass(frozen=True)
class CoinFlip:
    """A coin for each example (a canary): those of heads enter training, the others stay out.

    The same entry with the other side, as a holdout with ``twins_of``, holds the others. The coin of a text is made of
    the seed and of the text alone, whatever stands beside it, so that neither the order of the rows nor a filter moves
    an example from one side to the other.

    Attributes:
        seed: of the coins; whoever attacks must not know it.
        side: ``in`` for those that enter, ``out`` for those that stay out.
    """

    seed: int
    side: Side

    def problems(self, role: str) -> list[str]:
        """What is wrong with it where it stands.

        Args:
            role: list of datasets, such as ``corpora``.
        """
        found = [] if self.seed >= 0 else [f"coin_flip.seed is {self.seed}; give 0 or more"]
        if role not in HOME[self.side]:
            says = "enter training" if self.side == "in" else "never enter training"
            homes = " or ".join(f"data.{home}" for home in HOME[self.side])
            found.append(f"coin_flip: canaries of side {self.side} {says}; they belong to {homes}, and this is {role}")
        return found


@dataclass(frozen=True)
class Flipped:
    """How a dataset came out of a flip.

    Attributes:
        coin_flip: that was asked for.
        canaries: examples of both sides together.
        pool: digest of their texts; equal for the two sides of one flip, whatever file or entry they were read from.
    """

    coin_flip: CoinFlip
    canaries: int
    pool: str

    def is_other_side_of(self, other: Flipped | None) -> bool:
        """Whether both are the two sides of one flip of the same canaries."""
        if other is None or other.coin_flip.side == self.coin_flip.side:
            return False
        return (self.coin_flip.seed, self.pool) == (other.coin_flip.seed, other.pool)


def one_side(rows: Dataset, hashes: Sequence[str], coin_flip: CoinFlip) -> tuple[Dataset, Flipped]:
    """The rows that fell on a side.

    Args:
        rows: all canaries.
        hashes: the identity of each, by its text.
        coin_flip: seed and side.

    Raises:
        ConfigurationError: if a text stands twice, whose copies would share a coin, or none is left.
    """
    if repeated := len(hashes) - len(set(hashes)):
        raise ConfigurationError(
            [
                f"coin_flip: {repeated} of {len(hashes)} rows repeat a text, and each canary has one coin; give each "
                "text once (`copies` says how many times it stands in training)"
            ]
        )
    entered = coins_of(hashes, coin_flip.seed)
    kept = np.flatnonzero(entered if coin_flip.side == "in" else ~entered)
    if not len(kept):
        raise ConfigurationError(
            [f"coin_flip: none of the {len(hashes)} canaries is on side {coin_flip.side}; give more, or another seed"]
        )
    pool = hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16]
    return rows.select(kept), Flipped(coin_flip, len(hashes), pool)


def flip_note(name: str, flipped: Flipped, kept: int) -> str:
    """How many of the canaries are on a dataset's side, a sentence.

    Args:
        name: of the dataset.
        flipped: how it came out.
        kept: examples on its side.
    """
    does = "entered training" if flipped.coin_flip.side == "in" else "stayed out"
    return f"{name}: by coin flip {kept} of {flipped.canaries} canaries {does} (seed {flipped.coin_flip.seed})"


def two_sides(datasets: Iterable[Any]) -> dict[str, str]:
    """Which datasets are the two sides of one flip.

    Args:
        datasets: tokenised ones.

    Returns:
        Name of the side that entered to the name of the one that stayed out.
    """
    flipped = [one for one in datasets if one.flipped is not None]
    return {
        one.name: other.name
        for one in flipped
        for other in flipped
        if one.flipped.coin_flip.side == "in" and one.flipped.is_other_side_of(other.flipped)
    }
