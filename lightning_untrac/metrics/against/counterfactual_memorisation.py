"""What a model knows of each sequence beyond models that never saw it."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional import counterfactual
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Sequences


class CounterfactualMemorisation(AgainstRetrained):
    """Measure of memorisation under the model minus its mean under retrained models (Feldman 2020; Zhang et al. 2021).

    Of the original it is how far a sequence was memorised, of an unlearned model what is left. Published means are over
    hundreds of models; here there is the model (or its seeds) and the retrained ones.
    """

    name = "counterfactual_memorisation"
    title = "Counterfactual memorisation"
    unit = "share of tokens"
    ideal = "0, or as another retrained model"
    cannot_tell = "chance in training: there are as many models as there are, not hundreds"
    source = "Zhang et al. 2021 (arXiv 2112.12938); Feldman 2020"
    needs: ClassVar[frozenset[Needed]] = frozenset({"retrained"})

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return counterfactual.counterfactual_memorisation(seen.known, seen.retrained_known)
