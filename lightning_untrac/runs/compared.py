"""Which models are held against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from lightning_untrac.metrics import distances as kinds


@dataclass(frozen=True)
class Compared:
    """Models of one forget set.

    Attributes:
        original: the model before unlearning.
        unlearned: models that are to be like the retrained ones.
        retrained: models that never saw the forget set, by seed.
        measures: what their distances are.
    """

    original: str
    unlearned: Sequence[str]
    retrained: Mapping[int, str]
    measures: ClassVar[Sequence[str]] = kinds.DISTANCES

    @property
    def every(self) -> list[str]:
        """All of them."""
        return [self.original, *self.unlearned, *self.retrained.values()]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each model that is read, and the one that it is held against: a pass each."""
        for reference in self.retrained.values():
            yield from ((model, reference) for model in self.every if model != reference)
        yield from ((model, self.original) for model in self.unlearned)


SEED_FOLDER: Final = re.compile(r"seed-(\d+)")


def named_models(original: str, unlearned: Sequence[str], retrained: Sequence[str]) -> tuple[Compared, list[str]]:
    """Models that a user names one by one.

    Args:
        original: the model before unlearning.
        unlearned: those that are judged.
        retrained: those that never saw the forget set; a folder ``seed-3`` is that of seed 3, and others are numbered.

    Returns:
        The models, and what is wrong with them.
    """
    seeds = [SEED_FOLDER.fullmatch(Path(path).name) for path in retrained]
    numbers = [int(match[1]) for match in seeds if match]
    if len(set(numbers)) < len(retrained):
        numbers = list(range(len(retrained)))
    models = Compared(original, unlearned, dict(zip(numbers, retrained, strict=True)))
    twice = sorted({path for path in models.every if models.every.count(path) > 1})
    return models, [f"models: {path} is given twice, as several of the models judged; give each once" for path in twice]


def retrained_folder(folder: Path, forget: str) -> Path:
    """Where the models are that were retrained without a forget set, one a seed."""
    return folder / f"retrained-{forget}"


def compared_models(
    folder: Path, forget: str, named: Sequence[str] | None, original: str, datasets: Sequence[str]
) -> tuple[Compared, list[str]]:
    """Look up the models of a forget set.

    Args:
        folder: of the run.
        forget: the forget set.
        named: the unlearned ones; None for all that are there.
        original: the model before unlearning.
        datasets: names of all datasets: ``unlearned-a-b`` is of the dataset ``a-b`` where there is one.

    Returns:
        The models, and what is missing.
    """
    problems = []
    seeds = {int(path.name.removeprefix("seed-")): str(path) for path in retrained_folder(folder, forget).glob("seed-*")
             if path.name.removeprefix("seed-").isdecimal()}  # fmt: skip
    retrained = {seed: seeds[seed] for seed in sorted(seeds)}
    if not retrained:
        chosen = f"{forget}-chosen"
        problems.append(
            f"judge: {folder} holds no model that was retrained without {forget}; run `untrac retrain --forget "
            f"{forget} --output {folder}` first"
            + (f", or judge the examples chosen of it: --forget {chosen}" if (folder / f"retrained-{chosen}").is_dir()
               else "")
        )  # fmt: skip
    if named is None:
        own = f"unlearned-{forget}"
        others = [f"unlearned-{name}{part}-" for name in datasets for part in ("", "-chosen")]
        others = [name for name in others if name.startswith(f"{own}-") and name != f"{own}-"]
        found = [path for path in (folder / own, *sorted(folder.glob(f"{own}-*"))) if path.is_dir()]
        unlearned = [str(path) for path in found if not f"{path.name}-".startswith(tuple(others))]
        if not unlearned:
            problems.append(
                f"judge: {folder} holds no unlearned-{forget}; run `untrac unlearn --forget {forget} --output "
                f"{folder}` first, or name the models (--models '[a,b]')"
            )
    else:
        unlearned = [str(folder / name) if (folder / name).is_dir() else name for name in dict.fromkeys(named)]
        if not unlearned:
            problems.append("models: none given; name at least one, or leave it out for all of this forget set")
    return Compared(original, unlearned, retrained), problems
