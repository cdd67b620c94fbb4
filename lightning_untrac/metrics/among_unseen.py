"""What a measure is that places each example among texts that the model never saw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs


class AmongUnseen(Measure):
    """One number an example, from its own loss and those of unseen texts, once all of them were read.

    The unseen texts are those of ``data.holdout``: the twins of a dataset (``twins_of``), else the holdouts that are
    nobody's. A dataset without any is not measured. Unseen texts stand among each other.

    Every sequence counts alike. Texts of other lengths or kinds than the unseen ones are compared all the same, and
    what comes out then says how unlike they are.
    """

    weight_unit: ClassVar[str] = "sequences"
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"unseen"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        """The loss per target token; :meth:`settle` makes the measure of it."""
        sums, counts = seen.losses
        return Measured(sums / counts, (counts > 0).double())

    @abstractmethod
    def among(self, losses: Floats, unseen: Floats, themselves: bool) -> Floats:
        """The measure.

        Args:
            losses: ``[sequences]``, nats per target token.
            unseen: ``[unseen sequences]`` likewise.
            themselves: whether the sequences are the unseen ones.
        """

    @override
    def settle(
        self, values: Mapping[str, Floats], weights: Mapping[str, Floats], unseen: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        found, counted = {}, {}
        for dataset, losses in values.items():
            names = [name for name in unseen.get(dataset, ()) if name in values]
            level = np.concatenate([values[name][weights[name] > 0] for name in names]) if names else np.zeros(0)
            known = weights[dataset] > 0
            found[dataset] = np.zeros(len(losses))
            if len(level):
                found[dataset][known] = self.among(losses[known], level, names == [dataset])
            # A model that is not finite is said by its value; what can't be placed at all does not count.
            placed = known & ~(np.isnan(found[dataset]) & np.isfinite(losses))
            counted[dataset] = np.where(placed & bool(len(level)), weights[dataset], 0.0)
        return found, counted
