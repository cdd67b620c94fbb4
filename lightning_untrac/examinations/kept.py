"""What was found of one model, in a file of its own: written whole, and read by the same command after a kill."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.runs.kept_arrays import (
    data_digest,
    described,
    package_digest,
    run_settings,
    weights_digest,
)
from lightning_untrac.tables.files import atomic_path

FOLDER: Final = "examined"
"""Below the output folder; throwing it away costs nothing but time."""


OF_STEPS: Final = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "devices", "strategy")
"""Flags of the Trainer on which the steps of an examination that trains depend."""


def kept_path(folder: Path, bench: Bench, examination: Examination, path: str) -> Path | None:
    """Where the numbers of one model are kept: another model, other data or settings have another name.

    None where one of the models is of the hub, whose weights may change under their name.

    Args:
        folder: of the run.
        bench: the models and their data.
        examination: with its settings.
        path: of the model.
    """
    others = [path, bench.models.original, *bench.retrained]
    digests = [weights_digest(one) for one in others]
    if None in digests:
        return None
    stage = bench.stage
    model = {k: v for k, v in stage.config.get("model", {}).get("init_args", {}).items() if k != "name_or_path"}
    trains = [model, [stage.trainer_arguments.get(flag) for flag in OF_STEPS], stage.data.batch_size]
    depends = [
        package_digest(),
        [digests, trains],
        described(examination, examination.settings),
        [described(measure) for measure in bench.measures],
        [bench.forget, data_digest(stage), run_settings(stage)],
    ]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    return folder / FOLDER / f"{examination.name}-{bench.forget}-{Path(path).name}-{digest}.npz"


def read_kept(path: Path) -> list[Column] | None:
    """The numbers of a file; None where there is none, or where it is damaged.

    Args:
        path: of :func:`kept_path`.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            plain = json.loads(str(file["columns"]))
            return [
                Column(**fields, values=file[f"values-{place}"], weights=file[f"weights-{place}"])
                for place, fields in enumerate(plain)
            ]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def write_kept(path: Path, columns: Sequence[Column]) -> None:
    """Write numbers, whole or not at all.

    Args:
        path: of :func:`kept_path`.
        columns: of one model.
    """
    fields = [
        {"measure": c.measure, "dataset": c.dataset, "unit": c.unit, "condition": c.condition, "at": c.at}
        for c in columns
    ]
    arrays: dict[str, Any] = {"columns": np.array(json.dumps(fields))}
    for place, column in enumerate(columns):
        arrays |= {f"values-{place}": column.values, f"weights-{place}": column.weights}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
