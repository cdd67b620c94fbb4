"""What a measure is: one number an example about a model, read from one forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from lightning_untrac.decoding import Decoding
from lightning_untrac.errors import ConfigurationError, UnlearningError, problems_of, raise_if_any
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.naming import counted
from lightning_untrac.outputs import MeasureNeed, Outputs
from lightning_untrac.registry import Registry
from lightning_untrac.results.measures import MeasureText, describe_measure

MEASURES: Registry[Measure] = Registry("measure", "lightning_untrac.metrics")
"""All measures by name."""

DEFAULT_MEASURES = "loss,memorisation_accuracy,extraction_strength"
"""What verbs measure unless the user says otherwise: all come from one forward pass."""


CLASS_MEASURES = "loss,accuracy"
"""The same of a classifier."""


class Measured(NamedTuple):
    """What a measure says of each example of a batch.

    Attributes:
        value: ``[batch]``, in the measure's unit; NaN where it says nothing.
        weight: ``[batch]``, how much an example counts in the mean of a dataset; 0 where it does not count.
    """

    value: Tensor
    weight: Tensor


class Measure(ABC):
    """One number an example. A new measure is one new file in ``metrics/``, or a class of your own named by its path.

    The mean of a dataset is ``sum(value * weight) / sum(weight)``, in float64 over all batches and ranks.

    Attributes:
        name: in the tables and on the command line.
        title: its name for people; ``name`` where a subclass gives none.
        unit: of a value.
        weight_unit: of a weight.
        direction: which values say that the model knows a text better: ``lower``, ``higher``, or ``none``.
        ideal: the value that perfect unlearning would give, in words.
        cannot_tell: what a good value does not show.
        source: where it comes from.
        bounds: least and largest possible value; intervals end there.
        needs: what it asks for beside logits and targets, as terms of an objective do: ``hidden_states`` of every
            model, and ``reference_...`` where there is a model before unlearning (``untrac unlearn``); ``unseen`` where
            there is a holdout, ``neighbours`` where a model is measured as it is, ``answers``,
            ``continuations`` and ``texts`` of any model that writes text, ``shots`` where there are corpora, and
            ``wrong_answers`` where a dataset names some.
            Elsewhere such a measure is refused before step 0.
        decoding: how the model is let speak, of a measure that needs ``answers``; those of one decoding are made once.
        reference_model: hub name or folder of another model, of a measure that asks for its log-probabilities.
        groups: named sets that it belongs to: ``quick``, ``standard`` or ``full`` (the smallest that holds it), and its
            kind, such as ``extraction``; what is in none is measured by its name alone.
        worst: which value of the examples of a group speaks for the group: ``largest`` where one example that shows
            what is known is enough; None where groups are not looked at.
        tests_distribution: whether ``untrac judge`` also tells how likely its values, and those of a retrained model,
            are draws of one distribution (``ks_p_value``).

    Example:
        The largest loss of a token, of your own, used as ``--measures loss,my_module.LargestLoss``:

        >>> from lightning_untrac.functional.token_losses import token_losses
        >>> class LargestLoss(Measure):
        ...     name, title, unit, direction = "largest_loss", "Largest loss", "nats", "lower"
        ...     def __call__(self, seen):
        ...         losses = token_losses(seen.logits.flatten(0, 1), seen.targets.flatten()).view_as(seen.targets)
        ...         return Measured(losses.amax(dim=1), (seen.targets != -100).any(dim=1))
        >>> value, weight = LargestLoss()(Outputs(torch.zeros(2, 3, 4), torch.tensor([[1, 2, 3], [-100] * 3])))
        >>> [round(loss, 4) for loss in value.tolist()], weight.tolist()
        ([1.3863, 0.0], [True, False])
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    weight_unit: ClassVar[str] = "target tokens"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[str] = "as the retrained model"
    cannot_tell: ClassVar[str] = ""
    source: ClassVar[str] = ""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset()
    decoding: Decoding | None = None
    reference_model: str | None = None
    worst: ClassVar[Literal["largest"] | None] = None
    tests_distribution: ClassVar[bool] = False
    groups: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new measure known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        MEASURES.add(cls)
        own = vars(cls)
        if isinstance(name := own.get("name"), str):
            describe_measure(name, MeasureText.of(cls, own.get("title", name)))

    @abstractmethod
    def __call__(self, seen: Outputs) -> Measured:
        """Measure a batch.

        Args:
            seen: one forward pass, without gradient and without dropout.
        """

    def of_mean(self, mean: float) -> dict[str, float]:
        """Other statistics of a dataset that follow from its mean and rise with it; their unit is 1.

        Args:
            mean: of a dataset, or an end of its interval.

        Returns:
            Name in the tables to number.
        """
        return {}

    def settle(
        self, values: Mapping[str, Floats], weights: Mapping[str, Floats], unseen: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Have the last word once all examples were read; what each batch said stays, unless a measure says otherwise.

        Args:
            values: dataset to ``[examples]``.
            weights: dataset to ``[examples]``.
            unseen: dataset to the names of holdouts that show the level of unseen text for it.

        Returns:
            Values and weights, of the same shapes.
        """
        return dict(values), dict(weights)


Named = str | Mapping[str, Any]
"""A measure by its name or class path, or with settings: ``{class_path: ..., init_args: {...}}``."""


def find_measures(names: str | Iterable[Named]) -> list[Measure]:
    """The measures of some names.

    Args:
        names: names or class paths, in a list or separated by commas, in a list also with settings; the order of the
            tables' rows.

    Raises:
        ConfigurationError: with everything that is wrong with them.

    Example:
        >>> [measure.name for measure in find_measures("loss, memorisation_accuracy")]
        ['loss', 'memorisation_accuracy']
        >>> find_measures([{"class_path": "leak_at_k", "init_args": {"k": 2}}])[0].name
        'leak_at_2'
    """
    listed = names.split(",") if isinstance(names, str) else list(names)
    asked = [one for one in map(_settings, listed) if one[0]]
    problems = [] if asked else [f"measures: none given; use one of {', '.join(MEASURES.names())}"]
    found: dict[str, Measure] = {}
    given: dict[str, dict[str, Any]] = {}
    for name, settings in asked:
        wrong = problems_of(lambda name=name: MEASURES.find(name))  # type: ignore[misc]
        problems += wrong
        if wrong:
            continue
        cls = MEASURES.find(name)
        try:
            measure = cls(**settings)
            found.setdefault(measure.name, measure)
            if (first := given.setdefault(measure.name, settings)) != settings:
                problems.append(
                    f"measures: {measure.name!r} is given with {first or 'its own settings'} and with "
                    f"{settings or 'its own settings'}, and tables know it by its name; give it once"
                )
        except ConfigurationError as error:
            problems += [f"measures: {name}: {problem}" for problem in error.problems]
        except TypeError as error:
            what = f"of {settings}" if settings else "without arguments"
            problems.append(f"measures: {name} cannot be made {what} ({error}); give them defaults")
    raise_if_any(problems)
    return list(found.values())


def _settings(named: Named) -> tuple[str, dict[str, Any]]:
    if isinstance(named, Mapping):
        return str(named.get("class_path", named)).strip(), dict(named.get("init_args") or {})
    return str(named).strip(), {}


def each_once(measures: str | Iterable[Named | Measure]) -> list[Measure]:
    """Measures by their names or as they are, each once.

    Args:
        measures: names, class paths and measures.

    Raises:
        ConfigurationError: if a name is unknown, or two different measures have one name: they would write over each
            other.
    """
    found: dict[str, Measure] = {}
    for one in [measures] if isinstance(measures, str) else measures:
        for measure in [one] if isinstance(one, Measure) else find_measures(one if isinstance(one, str) else [one]):
            if found.setdefault(measure.name, measure) is not measure and isinstance(one, Measure):
                raise ConfigurationError([f"measures: {measure.name!r} is given twice; give each measure once"])
    return list(found.values())


def measure_all(measures: Iterable[Measure], seen: Outputs) -> dict[str, Measured]:
    """What measures say of a batch; nothing of an example whose loss is NaN.

    A model with broken weights has no first choice: without this it would look as if it had forgotten everything.

    Args:
        measures: each of another name.
        seen: one forward pass.

    Returns:
        Name to what was measured; values are NaN where logits are.

    Raises:
        UnlearningError: if a measure does not say one number an example.
    """
    found = {}
    broken = seen.losses[0].detach().isnan()
    for measure in measures:
        found[measure.name] = said = measure(seen)
        check_shape(measure.name, said, len(seen.targets))
        if broken.any():
            found[measure.name] = Measured(said.value.double().masked_fill(broken, float("nan")), said.weight)
    return found


def check_shape(name: str, said: Any, size: int) -> None:
    """Refuse what is not one number an example.

    Args:
        name: of the measure.
        said: what it says of a batch.
        size: examples of the batch.

    Raises:
        UnlearningError: if value or weight has another shape than ``[size]``.
    """
    for part in Measured._fields:
        shape = list(getattr(getattr(said, part, None), "shape", ()))
        if shape != [size]:
            raise UnlearningError(
                f"measure {name!r}: its {part} has the shape {shape}, and the batch has {counted(size, 'example')}; "
                "return `Measured(value, weight)` with one number for each example in both"
            )
