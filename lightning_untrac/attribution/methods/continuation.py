"""Leave-out continuation: what the next steps of training would lack without a corpus."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from lightning.pytorch.cli import OptimizerCallable
from typing_extensions import override

from lightning_untrac.attribution.base import Attribution
from lightning_untrac.callbacks import ControlledInfluenceLogger, InfluenceLogger
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.errors import raise_if_any
from lightning_untrac.modules import LanguageModule, Unlearning
from lightning_untrac.modules.learning_rate import continuation_adam, model_width, rate_of_module
from lightning_untrac.objectives import Descent, Objective


class Continuation(Attribution):
    """Influence of corpus Z on test set Z': ``L(Z'; on without Z) - L(Z'; on with all)`` after equally many steps.

    From the trained weights training goes on for a few steps, once with all corpora (the control) and once without
    each, on the same batches but for the examples of Z. Positive where Z helps. One plain SGD step over everything
    gives ``lr * p / (1 - p) * (G_Z - G) . G'``, with p the tokens' share of Z, G_Z, G and G' the mean gradients of Z,
    of the mixture and of the test set: like retraining, and unlike ascent on Z, it knows that the other corpora get the
    place of Z, and how large Z is.

    Its cost is one more episode a seed than there are corpora, each of a few steps; it needs the corpora that the
    model was trained on, in their shares, and no loss can collapse. Where the user names no optimizer it is
    :func:`continuation_adam` at :func:`rate_of_width`.
    """

    method: ClassVar[str] = "continuation"
    title: ClassVar[str] = "Leave-out continuation"
    summary: ClassVar[str] = (
        "Goes on training for a few steps without one corpus at a time, and reads how much worse each test "
        "set then fares than after as many steps with all of them."
    )
    steps_title: ClassVar[str] = "steps of further training"
    starts_from: ClassVar[str] = "the control, trained on with all corpora"
    finding: ClassVar[str] = "going on without it raises the loss"
    precedence: ClassVar[int] = 3
    signed: ClassVar[bool] = False
    steady: ClassVar[bool] = True
    kind: ClassVar[EpisodeKind] = "continuation"
    default_steps: ClassVar[int | None] = 20
    default_batch_size: ClassVar[int | None] = 64
    has_control: ClassVar[bool] = True
    ascends: ClassVar[bool] = False
    optimizer: ClassVar[OptimizerCallable] = staticmethod(continuation_adam)

    @classmethod
    @override
    def option_problems(cls, options: Any, config: Any) -> list[str]:
        found = super().option_problems(options, config)
        if config.model.init_args.get("unlearning_objective") is not None:
            found.append(
                f"model.unlearning_objective: {cls.method} unlearns nothing; give --method untrac, or leave it out"
            )
        return found

    @override
    def problems(self, module: LanguageModule) -> list[str]:
        found = []
        if isinstance(module, Unlearning) and type(module).objective is not Unlearning.objective:
            found.append(
                f"model: {type(module).__name__} defines what unlearning minimises, and continuation trains; give "
                "--method untrac to unlearn with it, or the model lightning_untrac.Unlearning"
            )
        if module.optimizer is continuation_adam and not module.problems() and model_width(module.model_config) is None:
            found.append(
                "model.optimizer: the model's configuration has no `hidden_size`, from which continuation takes its "
                "learning rate; give --model.optimizer torch.optim.Adam --model.optimizer.lr 1e-4 or what suits it"
            )
        return found

    @override
    def prepare(self, module: LanguageModule) -> LanguageModule:
        raise_if_any(self.problems(module))
        if module.optimizer is continuation_adam:
            module.optimizer = partial(continuation_adam, lr=rate_of_module(module))
        if isinstance(module, Unlearning):
            module.unlearning_objective = Objective(forget=Descent())
        return module

    @override
    def influence_logger(self, seed: int, **options: Any) -> InfluenceLogger:
        options.pop("baseline")  # the control's losses stand in its place
        return ControlledInfluenceLogger(seed=seed, method=self.method, **options)
