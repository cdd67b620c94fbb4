"""``judged_latent.parquet``: the latent spaces of a judgement's classifiers as points, for their picture."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lightning_untrac.tables.measurements import read_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

JUDGED_LATENT: Final = "judged_latent.parquet"


@cache
def judged_latent_schema() -> pa.Schema:
    """Columns of ``judged_latent.parquet``: one row a model and example of the forget set or of what is retained.

    Returns:
        The schema. ``role`` is ``original``, ``unlearned`` or ``retrained`` (the first one, of ``seed``). ``class`` is
        the right one's number, ``label`` its name. ``x`` and ``y`` are the point, in units of the spread of the model's
        retained examples where ``projection`` is ``pca``; ``share`` is then the share of their variance that the plane
        shows.
    """
    model = (("model", "string", False), ("method", "string", False), ("forget_set", "string", False))
    own = [("role", "string", False), ("seed", "int", True), ("dataset", "string", False), ("example", "int", False)]
    own += [("class", "int", False), ("label", "string", False), ("x", "float", False), ("y", "float", False)]
    return schema_of([*model, *own, ("projection", "string", False), ("share", "float", True)])


def read_judged_latent(folder: Path) -> pa.Table | None:
    """The points of a run folder; None where there are none.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return read_if_there(folder / JUDGED_LATENT, judged_latent_schema())
