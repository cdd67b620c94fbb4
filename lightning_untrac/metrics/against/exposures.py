"""The measures among unseen texts, of a forget set beside its unseen twins."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Role, Sequences
from lightning_untrac.metrics.among_unseen import AmongUnseen
from lightning_untrac.metrics.exposure import Exposure
from lightning_untrac.metrics.extrapolated_exposure import ExtrapolatedExposure
from lightning_untrac.metrics.relex_unseen import RelExUnseen


class _AmongTwins(AgainstRetrained):
    """A measure among unseen texts, each sequence among the twins of its part."""

    measure: ClassVar[type[AmongUnseen]]
    roles: ClassVar[tuple[Role, ...]] = ("original", "unlearned", "retrained")
    needs: ClassVar[frozenset[Needed]] = frozenset({"unseen"})

    def __init_subclass__(cls, **kwargs: object) -> None:
        for word in ("name", "title", "unit", "direction", "ideal", "cannot_tell", "source"):
            setattr(cls, word, getattr(cls.measure, word))
        super().__init_subclass__(**kwargs)

    @override
    def __call__(self, seen: Sequences) -> Floats:
        found = np.full(len(seen.tokens), np.nan)
        for sequences, twins in seen.parts:
            found[sequences] = self.measure().among(seen.losses[sequences], seen.unseen_losses[twins], False)
        return found


class ExposureAmongTwins(_AmongTwins):
    """Exposure by rank."""

    measure = Exposure


class ExtrapolatedExposureAmongTwins(_AmongTwins):
    """Exposure by a fit."""

    measure = ExtrapolatedExposure


class RelExAmongTwins(_AmongTwins):
    """RelEx against unseen texts."""

    measure = RelExUnseen
