"""How ``untrac unlearn`` goes about it unless the user says otherwise: how far it forgets, and how it heals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from jsonargparse import Namespace

from lightning_untrac.callbacks import Healing, UntilRise
from lightning_untrac.forgetting import ForgettingMethod
from lightning_untrac.modules import LanguageModule, Unlearning
from lightning_untrac.modules.learning_rate import continuation_adam, model_width, rate_of_module
from lightning_untrac.modules.unlearning import paper_adam
from lightning_untrac.naming import counted
from lightning_untrac.objectives import GradientAscent, Objective, RetainLoss

RETAIN_WEIGHT, RISE, HEAL_STEPS, HEAL_FACTOR = 3.0, 0.5, 80, 6.0
"""The default way: chosen on two models and two forget sets, and reported on others (benchmarks/RESULTS.md)."""

MOST_STEPS = 64
"""Steps that forgetting may take until its rise, also where a pass over the forget set has fewer."""


TEXT_RATE = 0.1
"""Part of the learning rate with which single texts are forgotten: Adam's first step moves every weight by the rate. At
the whole rate that took the other answers with it, on the one model that was tried (docs/unlearning.md)."""


class ForgettingOptions(Protocol):
    """The options of ``unlearn`` that say how far it goes."""

    steps: int | None
    passes: float | None
    until_rise: float | None
    heal_steps: int | None
    forget_text: str | list[str] | None
    method: ForgettingMethod | None


@dataclass(frozen=True)
class Course:
    """How an unlearning run goes.

    Attributes:
        by_default: whether the user left objective and phase to us.
        until_rise: share of the way to a uniform guess at which forgetting ends; None for all steps.
        heal_steps: steps on retained data alone that come after.
        bounded: whether the user said how many steps or passes there are.
        texts: whether single texts are forgotten, of which a pass is a step or two, and not a dataset.
        method: a way of unlearning that is more than an objective; None for an objective.
        wrong: what is wrong with the options of a method.
    """

    by_default: bool
    until_rise: float | None
    heal_steps: int
    bounded: bool
    texts: bool = False
    method: ForgettingMethod | None = None
    wrong: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: ForgettingOptions, model: Namespace, holdout: bool = False) -> Course:
        """The course that the options ask for.

        Args:
            options: of the verb.
            model: the configuration of the phase (``class_path`` and ``init_args``).
            holdout: whether a holdout shows the level of unseen text for the forget set.
        """
        own_phase = model.class_path.rpartition(".")[2] != Unlearning.__name__
        objective = model.init_args.get("unlearning_objective")
        by_default = not own_phase and objective is None and options.method is None
        bounded = options.steps is not None or options.passes is not None
        texts = options.forget_text is not None
        rise = RISE if (by_default or texts) and not bounded and options.method is None else None
        heal = HEAL_STEPS if by_default and not texts else 0
        return cls(
            by_default,
            rise if options.until_rise is None else options.until_rise,
            heal if options.heal_steps is None else options.heal_steps,
            bounded,
            texts,
            options.method,
            ()
            if options.method is None
            else (
                *_method_problems(options, options.method, own_phase, objective),
                *([] if holdout else options.method.holdout_problems()),
            ),
        )

    @property
    def problems(self) -> list[str]:
        """What is wrong with the options."""
        found = [*self.wrong]
        if self.until_rise is not None and not 0 < self.until_rise <= 1:
            found.append(f"until_rise: {self.until_rise}; give a share of the way above 0 and at most 1, e.g. {RISE}")
        if self.heal_steps < 0:
            found.append(f"heal_steps: {self.heal_steps}; give a number of steps, 0 for none")
        return found

    @property
    def plan_fields(self) -> dict[str, Any]:
        """Fields of the episode plan, its kind among them."""
        until = self.until_rise is not None and not self.bounded
        length = {"steps": MOST_STEPS} if until and self.texts else {"least_steps": MOST_STEPS if until else 1}
        fields: dict[str, Any] = {"kind": "one", "extra_steps": max(0, self.heal_steps), **length}
        if self.method is not None:
            fields["kind"], fields["batch_size"] = self.method.episodes, self.method.batch_size
            if not self.bounded and self.method.steps is not None:
                fields["steps"] = self.method.steps
        return fields

    def keeps_weights(self, module: LanguageModule) -> bool:
        """Whether a checkpoint holds tensors of the size of the weights beside those of every objective."""
        objective: Any = module.unlearning_objective
        if objective.anchor is not None or objective.rectify is not None:
            return True
        return self.method is not None and self.method.keeps_weights

    @property
    def counts_memorised(self) -> bool:
        """Whether it goes by how far each text is memorised."""
        return self.method is not None and self.method.stops

    def module_problems(self, module: LanguageModule, replicas: int) -> list[str]:
        """Why a module can't take this course on so many data-parallel ranks."""
        if self.method is not None and self.method.one_device is not None and replicas > 1:
            return [f"trainer.devices: {self.method.name} works on one device: {self.method.one_device}"]
        if not self.heal_steps or self.by_default:
            return []
        if type(module).objective is not Unlearning.objective:
            return [
                f"heal_steps: {type(module).__name__} defines what a step minimises, and healing would leave out its "
                "forget term; give 0, or an unlearning_objective with a retain term"
            ]
        objective: Any = module.unlearning_objective
        if not objective.retain:
            return [f"heal_steps: {objective} has no retain term to heal with; give one (--retain loss), or 0 steps"]
        return []

    def settle(self, module: Any) -> list[str]:
        """Give a module the objective and the learning rate that the user left to us.

        Args:
            module: an ``Unlearning``, not fitted yet.

        Returns:
            What was chosen, in sentences.
        """
        said = [] if self.method is None else self.method.prepare(module)
        if self.by_default:
            module.unlearning_objective = Objective(forget=GradientAscent(), retain=[RetainLoss(weight=RETAIN_WEIGHT)])
            said.append(f"objective {module.unlearning_objective}")
        if module.optimizer is paper_adam:
            rate = self._rate(module)
            module.optimizer = partial(continuation_adam, lr=rate)
            width = model_width(module.model_config)
            said.append(f"learning rate {rate:.2g}" + (f" (a model {width} wide)" if width else ""))
        if self.until_rise is not None:
            said.append(f"until the loss is {self.until_rise:.0%} of the way to a uniform guess")
        if self.heal_steps:
            said.append(f"then {counted(self.heal_steps, 'step')} on retained data alone")
        return said

    def way(self, module: Any) -> str:
        """What is done, for tables: the objective, a method, or the class of a module that has a step of its own."""
        if self.method is not None:
            return str(self.method)
        cls = type(module)
        way = str(module.unlearning_objective) if cls.objective is Unlearning.objective else cls.__name__
        return way + (", healed" if self.heal_steps else "")

    @property
    def notes(self) -> list[str]:
        """What came of it, after the fit."""
        return [] if self.method is None else self.method.notes()

    @property
    def doubts(self) -> list[str]:
        """What went wrong, after the fit."""
        return [] if self.method is None else self.method.doubts()

    def callbacks(self, module: Any) -> list[Any]:
        """What ends forgetting, and heals; to stand before the readings' schedule."""
        until = [UntilRise(self.until_rise)] if self.until_rise is not None else []
        healing = [Healing(self.heal_steps, HEAL_FACTOR * self._rate(module))] if self.heal_steps else []
        return [*until, *healing, *([] if self.method is None else self.method.callbacks())]

    def _rate(self, module: Any) -> float:
        """The learning rate of forgetting; fresh adapters, which begin at zero, keep theirs."""
        of_method = 1.0 if self.method is None else self.method.rate
        share = min(of_method, TEXT_RATE if self.texts else 1.0)
        return rate_of_module(module) * (1 if module.lora else share)


def _method_problems(
    options: ForgettingOptions, method: ForgettingMethod, own_phase: bool, objective: Namespace | None
) -> list[str]:
    """What is wrong with a method, and with options that go with an objective alone."""
    found = method.problems()
    if own_phase or (objective is not None and _forgets(objective)):
        found.append(
            f"method: {method.name} decides what a step minimises, and an objective (or a module of your own) is given "
            "too; leave one of the two out"
        )
    elif objective is not None and not method.takes_retain:
        found.append(
            f"method: {method.name} goes with no retain term, anchor or rectifier, and one is given; leave it out, or "
            "take an objective or a method that goes with one (--objective npo, --method sga)"
        )
    given = {"until_rise": options.until_rise, "heal_steps": options.heal_steps}
    return found + [
        f"{name}: belongs to an objective, and {method.name} is a method; leave one of the two out"
        for name, value in given.items()
        if value is not None
    ]


def _forgets(objective: Namespace) -> bool:
    """Whether a configured objective names a forget term, and not only what goes beside it."""
    if "class_path" in objective:
        if objective.class_path.rpartition(".")[2] != Objective.__name__:
            return True  # a forget term that stands for all of it
        objective = objective.get("init_args") or Namespace()
    return objective.get("forget") is not None
