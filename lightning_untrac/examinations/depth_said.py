"""What unlearning depth scores say, as far as their intervals allow it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from lightning_untrac.functional.example_means import Mean, weighted_mean
from lightning_untrac.functional.uncertainty import Floats

LARGE_SHARE: Final = 0.1
"""Of an effect that is there on retained text as well: from here on it is said."""

NO_VERDICT: Final = 0.5
"""Above this share most of what a score counts is no forgetting: the number stands without a verdict."""


@dataclass(frozen=True)
class Depths:
    """Scores and effects of all models of one forget set.

    Attributes:
        scores: path of a model to ``[examples]`` scores and weights; of a single retrained model there are none.
        effects: path of a model to ``[layers, counted examples]``, nats per token.
        retrained: paths of the retrained models.
        threshold: nats per token that a layer of a retrained model has to take away to count.
        control: name of a dataset that no model was to forget; empty without one.
        controls: path of a model to ``[layers, examples]`` effects on it.
    """

    scores: Mapping[str, tuple[Floats, Floats]]
    effects: Mapping[str, Floats]
    retrained: Sequence[str]
    threshold: float
    control: str = ""
    controls: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def control_share(self) -> float:
        """What states of the retrained models take from the control, over what they take from the forget set."""
        if not self.control:
            return 0.0
        kept, gone = (sum(float(of[path].mean(axis=1).clip(0).sum()) for path in self.retrained)
                      for of in (self.controls, self.effects))  # fmt: skip
        return kept / gone if gone > 0 else math.nan

    def less(self, path: str, other: str, layer: int) -> Mean:
        """What a layer of a model takes from the forget set less what another model's takes, beyond the control."""
        mine, theirs = (self.effects[one][layer] for one in (path, other))
        found = weighted_mean(mine, np.ones_like(mine), before=theirs)
        if not self.control:
            return found
        kept, of_other = (self.controls[one][layer] for one in (path, other))
        aside = weighted_mean(kept, np.ones_like(kept), before=of_other)
        value, half = found.value - aside.value, math.hypot(found.high - found.value, aside.high - aside.value)
        return Mean(value, value - half, value + half)

    def mean(self, path: str) -> Mean:
        """The score of a model over examples."""
        return weighted_mean(*self.scores[path], bounds=(0.0, 1.0))

    def differences(self, path: str) -> list[Mean]:
        """The score of a model less that of each retrained one, over the examples that have both."""
        values, weights = self.scores[path]
        others = [self.scores[one] for one in self.retrained if one in self.scores]
        return [weighted_mean(values, weights * known, before=theirs) for theirs, known in others]


def depth_said(depths: Depths, path: str) -> str:
    """A sentence on an unlearned model; empty where no example has a score.

    Args:
        depths: of all models.
        path: of the model.
    """
    mean, name, where = depths.mean(path), Path(path).name, _where(depths, path)
    if not math.isfinite(mean.value):
        return "" if not depths.scores[path][1].any() else f"{name} gives no finite numbers, so that it has no UDS."
    if math.isnan(mean.low):
        return f"{name} has a UDS of {_shown(mean)} on the one example that has a score{where}."
    mine = f"UDS {_shown(mean)}"
    if depths.control_share > NO_VERDICT:
        return f"{name}: {mine}; {_control(depths)}: the score says little here."
    if mean.low <= 0:
        return f"{name} shows no forgetting in depth: {mine}."
    differences = depths.differences(path)
    if not differences:
        return f"{name} has forgotten in depth: {mine}; how near to 1 another retraining comes is not known{where}."
    if all(one.high < 0 for one in differences):
        how = f"has forgotten less deeply than each of {len(differences)} retrained models"
    elif all(one.low > 0 for one in differences):
        how = f"has lost more in depth than each of {len(differences)} retrained models"
    else:
        how = f"can't be told from {len(differences)} retrained models by how deep it has forgotten"
    means = sorted(depths.mean(one).value for one in depths.retrained)
    theirs = _hundredths(means[0]) if means[0] == means[-1] else f"{_hundredths(means[0])} to {_hundredths(means[-1])}"
    return f"{name} {how}: {mine}, theirs {theirs}{where}."


def _where(depths: Depths, path: str) -> str:
    said, layers = "", holding_layers(depths, path)
    if layers:
        what, holds = ("layer", "holds") if len(layers) == 1 else ("layers", "hold")
        said = f"; {what} {ranges(layers)} still {holds} what retraining takes out"
    if depths.control_share > LARGE_SHARE:
        said += f"; {_control(depths)}, so that the score is of more than forgetting"
    return said


def _control(depths: Depths) -> str:
    share = f"{100 * depths.control_share:.0f} %"
    return f"states of retrained models take {share} as much from {depths.control}, which nobody forgot"


def holding_layers(depths: Depths, path: str) -> list[int]:
    """Layers that take less from the forget set than those of each retrained model.

    What each takes from the control, if there is one, is taken off first. Less means beyond chance (95 % intervals over
    examples), and by more than the retrained models are apart.

    Args:
        depths: of all models.
        path: of the model.
    """
    found = []
    first, *others = depths.retrained
    for layer, mine in enumerate(depths.effects[path]):
        least = min(float(depths.effects[one][layer].mean()) for one in depths.retrained)
        if not (least > depths.threshold and np.isfinite(mine).all()):
            continue
        less = [depths.less(path, one, layer) for one in depths.retrained]
        places = [0.0, *(depths.less(one, first, layer).value for one in others)]
        if all(one.high < 0 for one in less) and -max(one.value for one in less) > max(places) - min(places):
            found.append(layer)
    return found


def ranges(numbers: Iterable[int]) -> str:
    """Rising whole numbers in words.

    Example:
        >>> ranges([3]), ranges([0, 1, 2, 5, 7, 8])
        ('3', '0 to 2, 5, 7 to 8')
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def _shown(mean: Mean) -> str:
    said = _hundredths(mean.value)
    return f"{said} ({_hundredths(mean.low)} to {_hundredths(mean.high)})" if math.isfinite(mean.low) else said


def _hundredths(number: float) -> str:
    """A share; never a 1.00 that is none."""
    return f"{math.floor(number * 100) / 100 if number > 0.99 else number:.2f}"
