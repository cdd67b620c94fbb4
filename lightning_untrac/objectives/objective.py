"""An unlearning objective: a forget term, retain terms, an anchor and a rectifier, put together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from lightning_untrac.objectives.forget.gradient_ascent import GradientAscent
from lightning_untrac.objectives.rectify.base import Rectifier
from lightning_untrac.objectives.terms import (
    Anchor,
    ForgetTerm,
    Need,
    ObjectiveTerm,
    RetainTerm,
    Seen,
    Stream,
    Term,
    Unit,
)
from lightning_untrac.objectives.unlearns import Unlearns


class Part(NamedTuple):
    """A term's value on one micro-batch, and how it counts in the step.

    Attributes:
        name: what it is called in logs.
        term: sum and count.
        stream: whose tokens or sequences the count is of; None for a value that counts once a step.
        unit: what the count is of.
        weight: what its mean is multiplied by.
    """

    name: str
    term: Term
    stream: Stream | None = "forget"
    unit: Unit = "token"
    weight: float = 1.0


EXAMPLES = {
    "forget": "NPO(beta=0.1)",
    "retain": "RetainKL(weight=5)",
    "anchor": "FisherAnchor(1e5)",
    "rectify": "GRU()",
}
"""What may stand at each place of an objective, for messages."""


@dataclass
class Objective:
    """What an unlearning step minimises: the sum of its terms, each a mean times its weight.

    Any forget term goes with any retain terms and any anchor. NPO with a retain loss and bare NPO are two settings, not
    two classes.

    Attributes:
        forget: on the forget set; gradient ascent by default.
        retain: on the data that are to stay, any number.
        anchor: on the weights.
        rectify: changes the forget term's gradient by that of the retain terms before each step.

    Example:
        >>> from lightning_untrac.objectives import GradientAscent, Objective, RetainKL
        >>> str(Objective(forget=GradientAscent(), retain=[RetainKL(weight=5)]))
        'GradientAscent + 5 RetainKL'
    """

    # None and not an object: what is written into configurations has to be the same in every process.
    forget: ForgetTerm = None  # type: ignore[assignment]
    retain: list[RetainTerm] = field(default_factory=list)
    anchor: Anchor | None = None
    rectify: Rectifier | None = None

    def __post_init__(self) -> None:
        """Fill in the default, and look at what was given."""
        self.forget = self.forget or GradientAscent()
        self.retain = [*self.retain] if isinstance(self.retain, (list, tuple)) else [self.retain]
        places: dict[str, tuple[type, list[Any]]] = {
            "forget": (ForgetTerm, [self.forget]),
            "retain": (RetainTerm, self.retain),
            "anchor": (Anchor, [self.anchor] if self.anchor is not None else []),
            "rectify": (Rectifier, [self.rectify] if self.rectify is not None else []),
        }
        for name, (kind, given) in places.items():
            for one in given:
                if not isinstance(one, kind):
                    raise TypeError(
                        f"Objective({name}={one!r}): expected an instance of a {kind.__name__}, e.g. {EXAMPLES[name]}"
                    )

    @classmethod
    def of(cls, given: Objective | ForgetTerm | Callable[[Seen], Term | Tensor] | None) -> Objective:
        """An objective of what a user gave: one, a forget term alone, a function of what is seen, or nothing."""
        if given is None or isinstance(given, ForgetTerm):
            return cls(forget=given) if given is not None else cls()
        if isinstance(given, Objective):
            return given
        if isinstance(given, type) or not callable(given):
            raise TypeError(f"unlearning_objective: {given!r} is no Objective, forget term or function of what is seen")
        return cls(forget=PlainForgetTerm(given))

    def __str__(self) -> str:
        named = [_named(term) for term in self.terms()]
        return " + ".join(named) + (f", {type(self.rectify).__name__}" if self.rectify is not None else "")

    def terms(self) -> Iterator[ObjectiveTerm]:
        """All terms, the forget term first."""
        yield self.forget
        yield from self.retain
        if self.anchor is not None:
            yield self.anchor

    @property
    def streams(self) -> frozenset[Stream]:
        """What each step has to bring."""
        return frozenset(stream for term in self.terms() for stream in term.streams) | {"forget"}

    @property
    def retained_streams(self) -> frozenset[Stream]:
        """What a step has to bring that heals: the streams of the retain terms."""
        return frozenset(stream for term in self.retain for stream in term.streams)

    def needs_of(self, stream: str) -> frozenset[Need]:
        """What the terms on a stream ask for beside logits and targets."""
        return frozenset(need for term in self.terms() if stream in term.streams for need in term.needs)

    def views_of(self, stream: str) -> int:
        """How many forward passes a step makes over a stream."""
        return max((term.views for term in self.terms() if stream in term.streams), default=1)

    @property
    def draws_views(self) -> bool:
        """Whether any stream has more than one, those after the first with dropout."""
        return any(self.views_of(stream) > 1 for stream in self.streams)

    @property
    def has_layers(self) -> list[str]:
        """Which terms train layers of their own."""
        return [type(term).__name__ for term in self.terms() if term.has_layers]

    @property
    def stratifies(self) -> bool:
        """Whether a step's retained examples have to have classes that fit those of its forget examples."""
        return any(term.stratifies for term in self.terms())

    def __call__(self, seen: Seen, forgets: bool = True) -> list[Part]:
        """The value of every term on one micro-batch.

        A share of a step without any target (filler, or blocks of prompts only) takes part in the backward pass with 0:
        a term could make a mean of nothing of it, and a NaN is not mended by a weight of 0.

        Args:
            seen: the outputs of one forward pass a stream.
            forgets: whether the forget term is among them; a step that heals has the others alone.
        """
        parts = []
        for number, term in enumerate(self.terms()):
            if number == 0 and not forgets:
                continue
            name = "forget" if number == 0 else "anchor" if isinstance(term, Anchor) else f"retain_{number}"
            if name == "retain_1" and len(self.retain) == 1:
                name = "retain"
            empty = any(not seen.of(stream).has_targets for stream in term.streams)
            value = term.nothing(seen) if empty else term(seen)
            parts.append(Part(name, value, term.streams[0] if term.streams else None, term.unit, term.weight))
        return parts

    def problems(self, module: Unlearns) -> list[str]:
        """Why its terms do not suit a model, whose weights are not loaded yet."""
        return [problem for term in self.terms() for problem in term.problems(module)]

    def prepare(self, module: Unlearns) -> None:
        """Called before the first step of every episode, with the pre-unlearning weights in place."""
        for term in self.terms():
            term.prepare(module)
        if self.rectify is not None:
            self.rectify.prepare()

    def after_step(self, module: Unlearns) -> None:
        """Called when a step's gradients are complete."""
        for term in self.terms():
            term.after_step(module)

    def state_dict(self) -> dict[str, Any]:
        """What the terms have found, for checkpoints."""
        states = {str(number): term.state_dict() for number, term in enumerate(self.terms())}
        if self.rectify is not None:
            states["rectify"] = self.rectify.state_dict()
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Take :meth:`state_dict` back."""
        for number, term in enumerate(self.terms()):
            if str(number) in states:
                term.load_state_dict(states[str(number)])
        if self.rectify is not None and "rectify" in states:
            self.rectify.load_state_dict(states["rectify"])


class PlainForgetTerm(ForgetTerm):
    """Any function of what is seen.

    Args:
        function: gives a :class:`Term`, or a scalar that is a mean per target token.
    """

    def __init__(self, function: Callable[[Seen], Term | Tensor]) -> None:
        super().__init__()
        self.function = function

    def __call__(self, seen: Seen) -> Term:
        """See the base class."""
        return as_term(self.function(seen), seen)


def as_term(value: Term | Tensor, seen: Seen) -> Term:
    """A term of what a function gave; a scalar is taken for a mean per target token of the forget set."""
    if isinstance(value, Term):
        return value
    count = seen.forget.loss.count
    return Term(value * count, count)


def as_parts(value: Any, seen: Seen) -> list[Part]:
    """The parts of what a module's ``objective`` gave: parts, one term, or a scalar mean per target token."""
    if isinstance(value, list):
        return value
    if not seen.forget.has_targets:
        return [Part("forget", seen.forget.nothing())]
    return [Part("forget", as_term(value, seen))]


def _named(term: ObjectiveTerm) -> str:
    """A term's class with the arguments that are not its defaults, its weight in front."""
    if isinstance(term, PlainForgetTerm):
        return getattr(term.function, "__name__", type(term.function).__name__)
    given = []
    for name, parameter in inspect.signature(type(term).__init__).parameters.items():
        value = getattr(term, name, parameter.default)
        if name not in ("self", "weight") and value != parameter.default and isinstance(value, (bool, int, float, str)):
            given.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    name = f"{type(term).__name__}({', '.join(given)})" if given else type(term).__name__
    return name if term.weight == 1 else f"{term.weight:g} {name}"
