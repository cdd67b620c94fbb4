"""``memorisation_steps.parquet``: how a forget set and parts of it were forgotten step by step, and what it cost."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.measurements import rows_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

MEMORISATION_STEPS: Final = "memorisation_steps.parquet"


@cache
def memorisation_steps_schema() -> pa.Schema:
    """Columns of ``memorisation_steps.parquet``: one row a model, part of a forget set, reading and statistic.

    Returns:
        The schema. ``role`` is ``unlearned``, or ``retrained`` for models that never saw the set, which have no steps.
        ``split`` says by what parts are made: ``all``, ``group`` (the dataset's own), or thirds by ``memorisation``
        (counterfactual, of the original) or by ``difficulty`` (mean loss of retrained models); ``part`` names the part
        and ``sequences`` says how many it has. ``step`` is that of a reading; empty for what is said of all readings
        together. Of a reading: ``genex`` and ``genex_size``, means of GenEx per token with and without its sign;
        ``known``, the mean of the measure by which outliers are counted; ``outside``, the share of sequences outside of
        the level of unseen text; ``retained`` and ``test_sets``, how far the loss there is above the mean of the
        retrained models. Of all together: ``steps_to_half`` and ``steps_to_tenth``, the step by which mean GenEx had
        come down to that share of its start (infinite: it did not), and ``retained_rise_at_half`` and the like: how far
        a loss had risen until then. Intervals (95 %) resample sequences.
    """
    model = ("model", "method", "role", "forget_set", "split", "part")
    own = [("sequences", "int", False), ("step", "int", True), ("statistic", "string", False)]
    own += [("value", "float", False), ("ci_low", "float", True), ("ci_high", "float", True), ("unit", "string", False)]
    return schema_of([*((name, "string", False) for name in model), *own])


def read_memorisation_steps(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``memorisation_steps.parquet`` of a run folder; none where there is no such file.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / MEMORISATION_STEPS, memorisation_steps_schema())
