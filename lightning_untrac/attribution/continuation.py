"""Leave-out continuation: what the next steps of training would lack without a corpus."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.attribution.base import Attribution
from lightning_untrac.callbacks import ControlledInfluenceLogger, InfluenceLogger
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules import LanguageModule, Unlearning
from lightning_untrac.objectives import Descent


def continuation_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam with a constant learning rate of 1e-3 and fresh state: what :class:`Continuation` goes on with by default.

    Fused, as ``paper_adam`` is, because it is faster and rounds the same.
    """
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


class Continuation(Attribution):
    """Influence of corpus Z on test set Z': ``L(Z'; on without Z) - L(Z'; on with all)`` after equally many steps.

    From the trained weights training goes on for a few steps, once with all corpora (the control) and once without
    each, on the same batches but for the examples of Z. Positive where Z helps. One plain SGD step over everything
    gives ``lr * p / (1 - p) * (G_Z - G) . G'``, with p the tokens' share of Z, G_Z, G and G' the mean gradients of Z,
    of the mixture and of the test set: like retraining, and unlike ascent on Z, it knows that the other corpora get the
    place of Z, and how large Z is.

    Its cost is one more episode a seed than there are corpora, each of a few steps; it needs the corpora that the
    model was trained on, in their shares, and no loss can collapse.
    """

    method: ClassVar[str] = "continuation"
    kind: ClassVar[EpisodeKind] = "continuation"
    ascends: ClassVar[bool] = False

    @override
    def prepare(self, module: LanguageModule) -> LanguageModule:
        if isinstance(module, Unlearning):
            if type(module).objective is not Unlearning.objective:
                raise ConfigurationError(
                    [
                        f"model: {type(module).__name__} defines what unlearning minimises, and continuation trains; "
                        "use lightning_untrac.Unlearning, or define `mean_loss`"
                    ]
                )
            module.unlearning_objective = Descent()
        return module

    @override
    def influence_logger(self, seed: int, **options: Any) -> InfluenceLogger:
        options.pop("baseline")  # the control's losses stand in its place
        return ControlledInfluenceLogger(seed=seed, method=self.method, **options)
