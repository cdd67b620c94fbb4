"""Fine-tuning on the rest: training goes on without the forget set, and nothing is done to that."""

from __future__ import annotations

from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.data.episodes import DEFAULT_BATCH_SIZES, EpisodeKind
from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.objectives import Descent, Objective


class FineTune(ForgettingMethod):
    """Train on, on the retained data alone, and let the model forget the rest by itself.

    The baseline of Golatkar et al. 2020 (arXiv 1911.04933, "fine-tune") and of those after it. What is forgotten so is
    only what training on other data overwrites. A pass is one over the retained corpora, by their shares; the forget
    set is read by measures alone.
    """

    name: ClassVar[str] = "finetune"
    episodes: ClassVar[EpisodeKind] = "without"
    batch_size: ClassVar[int | None] = DEFAULT_BATCH_SIZES["one"]

    @override
    def prepare(self, module: Any) -> list[str]:
        module.unlearning_objective = Objective(Descent())
        return ["training goes on without the forget set"]

    @override
    def callbacks(self) -> list[Callback]:
        return []
