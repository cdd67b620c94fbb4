"""One of several equal parts of a verb's episodes, for the tasks of a job array: each writes a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_untrac.verbs.run_folder import STATE, RunFolder

SHARDS = "shards"
"""Folder of the output folder in which the shards of every step are."""

CARD = "shard.json"
"""File of a shard's folder that says which episodes are in it."""

Key = tuple[str, int]
"""An episode, as (dataset, seed)."""


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of a list of episodes.

    Attributes:
        number: which part, from 1.
        count: how many parts there are.

    Example:
        >>> shard = Shard.read("2/3")
        >>> shard.name, shard.part(["a", "b", "c", "d", "e"])
        ('2-of-3', ['b', 'e'])
    """

    number: int
    count: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """A shard from its flag, in which :func:`shard_problems` found nothing."""
        number, _, count = text.partition("/")
        return cls(int(number), int(count))

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def part(self, episodes: Sequence[Key]) -> list[Key]:
        """Every ``count``-th episode: a list that grows by another seed keeps its episodes where they were."""
        return list(episodes[self.number - 1 :: self.count])

    def folder(self, output: Path, step: str) -> Path:
        """Where it is, in the output folder of the whole."""
        return output / SHARDS / step / self.name


def shard_problems(text: str | None) -> list[str]:
    """What is wrong with the flag ``--shard``.

    Example:
        >>> shard_problems("2/4"), shard_problems(None)
        ([], [])
        >>> shard_problems("0/4")
        ["shard: '0/4'; shards count from 1, so give 1/4 to 4/4"]
    """
    if text is None:
        return []
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        return [f"shard: {text!r} is no shard; give its number and how many there are, e.g. --shard 2/4"]
    number, count = int(match[1]), int(match[2])
    if count < 1:
        return [f"shard: {text!r}; there has to be at least 1 shard, e.g. --shard 1/4"]
    if not 1 <= number <= count:
        return [f"shard: {text!r}; shards count from 1, so give 1/{count} to {count}/{count}"]
    return []


def make_room(output: Path) -> None:
    """Say that the output folder is ours, before there are shards in it: all of them may begin at the same moment."""
    (output / STATE).mkdir(parents=True, exist_ok=True)


def write_card(folder: RunFolder, shard: Shard, step: str, method: str, key: str, episodes: Sequence[Key]) -> None:
    """Write down what a shard holds, so that shards can be joined without their data and models.

    Args:
        folder: the shard's own.
        shard: which it is.
        step: e.g. ``trace-untrac``.
        method: name in the tables.
        key: column of the tables that holds an episode's dataset.
        episodes: of all shards together, in order.
    """
    card = {"step": step, "number": shard.number, "count": shard.count, "method": method, "episode_key": key}
    folder.write_json(CARD, {**card, "episodes": [list(episode) for episode in episodes]})
