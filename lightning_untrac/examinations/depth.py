"""How deep a model has forgotten: the unlearning depth score (UDS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from typing_extensions import override

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found
from lightning_untrac.examinations.depth_said import Depths, depth_said
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.depth import THRESHOLD, unlearning_depth
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.modules.blocks import Blocks, find_blocks
from lightning_untrac.modules.members import member_folders
from lightning_untrac.modules.patching import Patched
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED

EFFECT: Final = "patching_effect"
"""D of a layer."""

UNIT: Final = "nats/token"

describe_measure(
    EFFECT,
    MeasureText(
        "Patching effect",
        UNIT,
        "lower",
        "as of the retrained model, layer by layer",
        "why a layer takes something away: its states may lack what was forgotten, or be broken",
    ),
)

SKIPPED: Final = (
    "depth: {skipped} of {every} examples of {forget} are left out: no layer of a retrained model takes more than "
    "{threshold:g} nats per token from them, so that there is nothing to have forgotten"
)

CONTROL: Final = (
    "depth: states of the retrained models take {kept:.2f} nats per token from {control} and {gone:.2f} from {forget}, "
    "each at the layer where it is most; {control} is retained: what goes there is not forgotten, but said otherwise "
    "inside"
)


class Depth(Examination):
    """How much of what a retrained model does not know has gone from a model's layers as well, 0 to 1.

    The hidden states that a model has after layer l, where it predicts the target's tokens, are put into the original's
    forward pass, whose upper layers then read from them what they can. ``D_l`` is how much the target's log-probability
    falls, in nats per token. With ``D_l`` of a retrained model r and of the model u, over the layers where
    ``D_l(r) > threshold``: ``UDS = sum_l D_l(r) clip(D_l(u) / D_l(r), 0, 1) / sum_l D_l(r)``, an example each.

    With several retrained models it is the mean over them, and each of these gets its own against the others: how near
    to 1 another retraining comes.

    Layers can be exchanged only between models that speak the same language inside. Fine-tuned ones do; models that
    were trained far from a common start need not, and their score is of that as well. So the same is read of what is
    retained: little should be taken from text that all know. What is said of layers is what they take beyond that.

    Args:
        threshold: nats per token that a layer of the retrained model has to take away to count.
        controls: of how many datasets that are retained the same is read; the first is the control. They take no part
            in the score.
    """

    name = "depth"
    title = "Unlearning depth score (UDS)"
    measure = "unlearning_depth"
    direction = "lower"
    ideal = "1; as another retrained model"
    cannot_tell = (
        "whether a model is broken, as one that lost more than the retrained one counts as 1, or only says the same in "
        "other words inside; look at what stays"
    )
    source = "the unlearning depth score of a study of 20 measures (gueaj/unlearning-depth-score), by its formula"
    axis = "layer, from 0"
    other_measures: ClassVar[tuple[str, ...]] = (EFFECT,)
    groups: ClassVar[frozenset[str]] = frozenset({"standard"})
    roles: ClassVar[tuple[str, ...]] = (UNLEARNED, RETRAINED)
    needs_retrained = True
    needs_weights_alike = True
    beside: ClassVar[tuple[str, ...]] = (ORIGINAL,)
    measures_models = False

    def __init__(self, threshold: float = THRESHOLD, controls: int = 1) -> None:
        self.threshold, self.controls = threshold, controls

    @property
    @override
    def settings(self) -> dict[str, Any]:
        """All but the threshold, which is for :meth:`conclude`: another one needs no new pass."""
        return {"controls": self.controls}

    @override
    def problems(self, bench: Bench) -> list[str]:
        found = [] if self.threshold >= 0 else [f"threshold: {self.threshold}; give at least 0 (nats per token)"]
        found += [] if self.controls >= 0 else [f"controls: {self.controls}; give at least 0 (retained datasets)"]
        if bench.stage.module.task.classifies:
            return [*found, "it reads language models, and these are classifiers; leave it out"]
        if several := [path for path in bench.models.every if member_folders(path)]:
            return [*found, f"{', '.join(several)}: an ensemble, which has no layers of its own; leave it out"]
        if _blocks(bench) is None:
            found.append(
                f"{bench.models.original} has no layers that each give hidden states [batch, length, width] once in a "
                "forward pass, so that they can't be replaced one by one; leave it out"
            )
        return found

    @override
    def passes(self, bench: Bench) -> float:
        blocks = _blocks(bench)
        sizes = {part.name: len(part) for part in bench.stage.data.evaluation_data().parts}
        share = sum(sizes.get(name, 0) for name in self._reads(bench)) / max(1, sum(sizes.values()))
        return share * (2 + (blocks.count if blocks else 0))

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        blocks = _blocks(bench)
        assert blocks is not None  # of `problems`
        module = Patched(bench.build(bench.models.original), bench.build(path), blocks)
        arrays = bench.scores(module, module.scores, self._reads(bench))
        found = []
        for layer, score in enumerate(module.scores):
            for dataset in self._reads(bench):
                values, weights = (arrays[f"{score}/{part}"][dataset] for part in Measured._fields)
                found.append(Column(EFFECT, dataset, values, weights, UNIT, at=layer))
        return found

    def _reads(self, bench: Bench) -> list[str]:
        return [bench.forget, *bench.retained[: self.controls]]

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        effects = {path: _layers(columns, bench.forget) for path, columns in found.items()}
        counted = next(column.weights for column in next(iter(found.values())) if column.dataset == bench.forget) > 0
        columns = {path: self._columns(bench, path, effects, counted) for path in found}
        numbers = [bench.mean(path, column) for path, every in found.items() for column in every]
        numbers += [bench.mean(path, column, (0.0, 1.0)) for path, scores in columns.items() for column in scores]
        retrained = [path for path in effects if path in bench.retrained]
        control = next(iter(self._reads(bench)[1:]), "")
        depths = Depths(
            {path: (scores[0].values, scores[0].weights) for path, scores in columns.items() if scores},
            {path: values[:, counted] for path, values in effects.items()},
            retrained,
            self.threshold,
            control,
            {path: _layers(every, control, known=True) for path, every in found.items()} if control else {},
        )
        said = {path: text for path in found if path not in retrained and (text := depth_said(depths, path))}
        return Concluded(numbers, columns, said, self._notes(depths, bench.forget))

    def _notes(self, depths: Depths, forget: str) -> list[str]:
        theirs = np.stack([depths.effects[path] for path in depths.retrained])
        found, none = [], np.asarray(~(theirs > self.threshold).any(axis=(0, 1)))
        if none.any():
            sizes = {"skipped": int(none.sum()), "every": len(none)}
            found.append(SKIPPED.format(**sizes, forget=forget, threshold=self.threshold))
        if depths.control:
            kept = max(depths.controls[path].mean(axis=1).max() for path in depths.retrained)
            gone = theirs.mean(axis=2).max()
            found.append(CONTROL.format(kept=kept, gone=gone, forget=forget, control=depths.control))
        return found

    def _columns(self, bench: Bench, path: str, effects: dict[str, Floats], counted: Any) -> list[Column]:
        """The scores of a model's examples, their mean over the retrained models first; none of one alone."""
        others = [other for other in bench.retrained if other in effects and other != path]
        if not others:
            return []
        each = [unlearning_depth(effects[path], effects[other], self.threshold) for other in others]
        scores, known = np.stack([one for one, _ in each]), np.stack([one & counted for _, one in each])
        mean = np.asarray(np.where(known, scores, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0)))
        found = [Column(self.measure, bench.forget, mean, np.asarray(known.any(axis=0), dtype=np.float64))]
        if len(others) > 1:
            for other, one, mine in zip(others, scores, known, strict=True):
                against = f"against seed {bench.seed(other)}"
                found.append(Column(self.measure, bench.forget, one, mine.astype(np.float64), condition=against))
        return found


def _layers(columns: Sequence[Column], dataset: str, known: bool = False) -> Floats:
    """Effects on a dataset, ``[layers, examples]``; of ``known`` those of examples that count."""
    mine = [one for one in columns if one.dataset == dataset]
    values = np.stack([one.values for one in mine])
    return values[:, mine[0].weights > 0] if known else values


def _blocks(bench: Bench) -> Blocks | None:
    module = bench.stage.module  # all are of its architecture, and `untrac plan` has no saved one
    return find_blocks(module.model_config, trust_remote_code=module.trust_remote_code)
