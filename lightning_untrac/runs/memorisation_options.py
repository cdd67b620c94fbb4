"""How a judgement of memorisation is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.measure import Measure, Named, each_once
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.runs.membership import find_attacks
from lightning_untrac.runs.memorised_data import KNOWN, LOSS, measures_read
from lightning_untrac.runs.neighbouring import Proposer
from lightning_untrac.runs.outliers import LevelOf
from lightning_untrac.tasks import Task


@dataclass(frozen=True)
class SequenceOptions:
    """What a user may ask of a judgement of memorisation, as options of a verb.

    Attributes:
        level: what the level of unseen text is; None for the best that the models at hand allow.
        by_group: whether each group of the forget set stands by itself.
        memorisation: the measure by which survivors are counted.
        neighbours: of each sequence; 0 for none.
        neighbours_from: what proposes their tokens.
        attacks: measures by which members are told from unseen twins, beside the loss.
    """

    level: LevelOf | None = None
    by_group: bool = False
    memorisation: str = KNOWN
    neighbours: int = 0
    neighbours_from: Proposer = "retrained"
    attacks: Sequence[Named] = (LOSS,)


@dataclass(frozen=True)
class Memorisation:
    """How memorisation is judged.

    Attributes:
        counted: the measure by which survivors are counted.
        level: what the level of unseen text is.
        by_group: whether each group of the forget set stands by itself.
        neighbours: of each sequence; 0 for none.
        neighbours_from: what proposes their tokens.
        attacks: measures by which members are told from unseen twins, beside the loss.
    """

    counted: str = KNOWN
    level: LevelOf = "sequence"
    by_group: bool = False
    neighbours: int = 0
    neighbours_from: Proposer = "retrained"
    attacks: tuple[Measure, ...] = ()

    @classmethod
    def of(cls, options: SequenceOptions, retrained: int, task: Task) -> Memorisation:
        """How a verb's options ask for it.

        Args:
            options: sound.
            retrained: how many retrained models there are.
            task: of the models. Where a text has one target, its class, that is right or wrong, and the loss says more.
        """
        by_default: LevelOf = "sequence" if retrained > 1 else "retrained" if retrained else "own"
        level: LevelOf = options.level or by_default
        one_target = task.classifies and not task.by_token
        (counted,) = find_measures(LOSS if one_target and options.memorisation == KNOWN else options.memorisation)
        attacks = find_attacks(options.attacks)
        proposer = "original" if options.neighbours_from == "retrained" and not retrained else options.neighbours_from
        return cls(counted.name, level, options.by_group, options.neighbours, proposer, attacks)

    @property
    def measures(self) -> list[Measure]:
        """What has to be measured of each model."""
        return each_once([*find_measures(self.names), *(one for one in self.attacks if one.name not in self.names)])

    @property
    def names(self) -> list[str]:
        """Names of what has to be measured in any case."""
        return measures_read(self.counted)


def memorisation_problems(memorisation: str, neighbours: int) -> list[str]:
    """What is wrong with options about memorisation.

    Args:
        memorisation: the measure by which survivors are counted.
        neighbours: of each sequence.
    """
    problems = measure_problems(memorisation, ())
    if not problems and (len(found := find_measures(memorisation)) > 1 or found[0].direction == "none"):
        problems.append(
            f"measures: {memorisation!r} does not say by itself how well a text is known; give one measure, such as "
            f"{KNOWN}"
        )
    problems = [problem.replace("measures:", "memorisation:", 1) for problem in problems]
    return problems + ([f"neighbours: {neighbours}; give 0 or more"] if neighbours < 0 else [])
