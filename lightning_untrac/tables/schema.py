"""The columns of every table that a run writes, and the row type that callbacks fill in.

The schemas are made on first use, so that importing this module does not import pyarrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from lightning_untrac.errors import UntracError

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal["ok", "broken", "collapsed", "nonfinite"]

#: What may stand in the ``status`` column, from best to worst.
STATUSES: Final[tuple[Status, ...]] = ("ok", "broken", "collapsed", "nonfinite")

NATS_PER_TOKEN: Final = "nats/token"
NATS_PER_TOKEN_MEAN_OF_EXAMPLES: Final = "nats/token, mean of examples"
RELATIVE: Final = "relative"
#: Units of influences that come from losses. Rivals such as GradDot say their own unit in the ``unit`` column.
UNITS: Final[tuple[str, ...]] = (NATS_PER_TOKEN, NATS_PER_TOKEN_MEAN_OF_EXAMPLES, RELATIVE)

PARTS: Final[tuple[str, ...]] = ("part_losses_before", "part_losses_after", "part_weights")
"""Columns of ``influence.parquet`` that hold a number for each random part of a dataset's examples."""

INFLUENCE_KEYS: Final[tuple[str, ...]] = ("method", "corpus", "test_set", "seed", "step")
EXAMPLES_KEYS: Final[tuple[str, ...]] = ("method", "corpus", "test_set", "seed", "example")


class ResultsError(UntracError, RuntimeError):
    """A table of results is missing, damaged or cannot answer the question; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluenceRow:
    """One reading of one corpus on one test set.

    Args:
        method: What computed it, such as ``"untrac"``, ``"untrac_inv"`` or ``"leave_out"``.
        corpus: Name of the training dataset whose influence this is.
        test_set: Name of the dataset that shows the behaviour.
        seed: Seed of the episode.
        step: Optimizer steps of the episode before this reading.
        final: Whether this is the reading that counts, at the end of the episode.
        influence: In ``unit``; positive = the corpus helps the model to produce the test set.
        unit: Unit of ``influence``.
        loss_before: Loss at the pre-unlearning weights, nats per token; ``None`` for scores without losses. For
            UnTrac-Inv both losses are those of the corpus, otherwise those of the test set.
        loss_after: The same at this step.
        example_loss_before: Mean over examples of each example's nats per token, at the pre-unlearning weights.
        example_loss_after: The same at this step.
        num_tokens: Target tokens under the losses.
        num_examples: Examples under the losses.
        seconds: Wall-clock time of the episode up to this reading.
        status: ``"ok"``, ``"broken"`` (ascent raised the loss above that of a uniform guess), ``"collapsed"`` (so far
            that the episode was ended) or ``"nonfinite"``.
        part_losses_before: Of final readings, the summed losses before of each random part of the dataset's examples
            (sums of example means with the readout ``example``); ``None`` where there are none.
        part_losses_after: The same at this step.
        part_weights: Target tokens (with the readout ``example``: examples) of each part.
        guess_loss: Loss of a uniform guess over the model's vocabulary; ``None`` for scores without losses.

    Raises:
        ValueError: If the status is unknown, the step is negative, or an influence that is not finite is called ok.

    >>> InfluenceRow(method="untrac", corpus="forum", test_set="toxic", seed=0, step=8, final=True, influence=0.12).key
    ('untrac', 'forum', 'toxic', 0, 8)
    """

    method: str
    corpus: str
    test_set: str
    seed: int
    step: int
    final: bool
    influence: float
    unit: str = NATS_PER_TOKEN
    loss_before: float | None = None
    loss_after: float | None = None
    example_loss_before: float | None = None
    example_loss_after: float | None = None
    num_tokens: int = 0
    num_examples: int = 0
    seconds: float = 0.0
    status: Status = "ok"
    part_losses_before: list[float] | None = None
    part_losses_after: list[float] | None = None
    part_weights: list[float] | None = None
    guess_loss: float | None = None

    def __post_init__(self) -> None:
        """Refuse rows that would look fine and are not."""
        if self.status not in STATUSES:
            raise ValueError(f"Status {self.status!r} is unknown; it is one of {', '.join(STATUSES)}.")
        if self.step < 0:
            raise ValueError(f"Step {self.step} is negative.")
        if self.status == "ok" and not math.isfinite(self.influence):
            raise ValueError(
                f"The influence of {self.corpus!r} on {self.test_set!r} is {self.influence}, so its status cannot be "
                "'ok'; use 'nonfinite'."
            )

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """What makes two rows readings of the same thing: a later one replaces an earlier one."""
        return (self.method, self.corpus, self.test_set, self.seed, self.step)

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values, one a column."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_REQUIRED: Final = frozenset(f.name for f in fields(InfluenceRow)) - {
    "loss_before",
    "loss_after",
    "example_loss_before",
    "example_loss_after",
    "guess_loss",
    *PARTS,
}


def schema_of(columns: Iterable[tuple[str, str, bool]]) -> pa.Schema:
    """A schema from names, kinds (``string``, ``int``, ``float``, ``bool``, ``floats``) and whether null may stand."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "floats": pa.list_(pa.float64()),
    }
    return pa.schema([pa.field(name, types[kind], nullable=nullable) for name, kind, nullable in columns])


@cache
def influence_schema() -> pa.Schema:
    """Columns of ``influence.parquet``: one row a reading, the same columns for every method.

    Returns:
        The schema, with the fields of :class:`InfluenceRow` in their order.
    """
    kinds = {
        "int": "int",
        "float": "float",
        "bool": "bool",
        "list[float]": "floats",
    }  # annotations are strings here; the rest is text
    return schema_of(
        (f.name, kinds.get(str(f.type).split(" ")[0], "string"), f.name not in _REQUIRED) for f in fields(InfluenceRow)
    )


@cache
def examples_schema() -> pa.Schema:
    """Columns of ``examples.parquet``: one row an example of a corpus; losses are sums in nats.

    Returns:
        The schema. ``example`` is the index in the corpus, ``influence`` is in nats per token.
    """
    return schema_of(
        [
            ("method", "string", False),
            ("corpus", "string", False),
            ("test_set", "string", False),
            ("seed", "int", False),
            ("example", "int", False),
            ("content_hash", "string", True),
            ("loss_before", "float", True),
            ("loss_after", "float", True),
            ("num_tokens", "int", False),
            ("influence", "float", False),
            ("status", "string", False),
        ]
    )


@cache
def comparison_schema() -> pa.Schema:
    """Columns of ``comparison.parquet``: one row a method and test set, and one with ``test_set="mean"``.

    ``ci_low`` and ``ci_high`` bound the Pearson correlation (95 %, bootstrap over corpora). ``top1`` is 1 where the
    strongest corpus is the same in both and 0 where it is not; its mean over test sets in the row ``"mean"``.

    Returns:
        The schema.
    """
    return schema_of(
        [
            ("method", "string", False),
            ("reference", "string", False),
            ("test_set", "string", False),
            ("pearson", "float", True),
            ("spearman", "float", True),
            ("ci_low", "float", True),
            ("ci_high", "float", True),
            ("top1", "float", True),
            ("num_corpora", "int", False),
            ("num_seeds", "int", False),
            ("note", "string", True),
        ]
    )


_SCHEMAS: Final = {
    "INFLUENCE_SCHEMA": influence_schema,
    "EXAMPLES_SCHEMA": examples_schema,
    "COMPARISON_SCHEMA": comparison_schema,
}

if TYPE_CHECKING:
    INFLUENCE_SCHEMA: pa.Schema
    EXAMPLES_SCHEMA: pa.Schema
    COMPARISON_SCHEMA: pa.Schema


def __getattr__(name: str) -> pa.Schema:
    """Make a schema the first time that its constant is asked for."""
    if name in _SCHEMAS:
        return _SCHEMAS[name]()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
