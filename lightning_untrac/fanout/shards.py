"""One of several equal parts of a verb's episodes, for the tasks of a job array: each writes a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_untrac.paths import is_file_name
from lightning_untrac.runs.run_folder import STATE, RunFolder

SHARDS = "shards"
"""Folder of the output folder in which the shards of every stage are."""

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

    def folder(self, output: Path, stage: str) -> Path:
        """Where it is, in the output folder of the whole."""
        return output / SHARDS / stage / self.name


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


def write_card(folder: RunFolder, shard: Shard, stage: str, method: str, key: str, episodes: Sequence[Key]) -> None:
    """Write down what a shard holds, so that shards can be joined without their data and models.

    Args:
        folder: the shard's own.
        shard: which it is.
        stage: e.g. ``trace-untrac``.
        method: name in the tables.
        key: column of the tables that holds an episode's dataset.
        episodes: of all shards together, in order.
    """
    card = {"step": stage, "number": shard.number, "count": shard.count, "method": method, "episode_key": key}
    folder.write_json(CARD, {**card, "episodes": [list(episode) for episode in episodes]})


def card_problems(card: Any) -> list[str]:
    """What is wrong with what a shard says about itself: it comes from a file, and its names become paths.

    Example:
        >>> card_problems({"step": "../../x", "method": "untrac", "number": 1, "count": 2, "episode_key": "corpus",
        ...                "episodes": [["birds", 0]]})
        ["its step '../../x' is no name of a step"]
    """
    if not isinstance(card, dict):
        return [f"it holds a {type(card).__name__}, not a shard's card"]
    if missing := [key for key in ("step", "method", "number", "count", "episode_key", "episodes") if key not in card]:
        return [f"it has no {', '.join(missing)}"]
    found = [
        f"its {key} {card[key]!r} is no name of a {key}" for key in ("step", "method") if not is_file_name(card[key])
    ]
    numbers = (card["number"], card["count"])
    if not all(type(number) is int for number in numbers) or not 1 <= numbers[0] <= numbers[1]:
        found.append(f"it says that it is shard {numbers[0]!r} of {numbers[1]!r}")
    if card["episode_key"] not in ("corpus", "test_set"):
        found.append(f"its episodes run over {card['episode_key']!r}; expected corpus or test_set")
    episodes = card["episodes"] if isinstance(card["episodes"], list) else [None]
    if not all(
        isinstance(episode, list) and len(episode) == 2 and is_file_name(episode[0]) and type(episode[1]) is int
        for episode in episodes
    ):
        found.append("its list of episodes is none of names and seeds")
    return found
