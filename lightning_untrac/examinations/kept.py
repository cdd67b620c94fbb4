"""What was found of one model, in a file of its own: written whole, and read by the same command after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.runs.saved_models import files_digest
from lightning_untrac.tables.files import atomic_path

FOLDER: Final = "examined"
"""Below the output folder; throwing it away costs nothing but time."""


def kept_path(folder: Path, bench: Bench, examination: Examination, path: str) -> Path:
    """Where the numbers of one model are kept: another model, other data or settings have another name.

    Args:
        folder: of the run.
        bench: the models and their data.
        examination: with its settings.
        path: of the model.
    """
    others = [path, bench.models.original, *bench.retrained]
    depends = {
        "examination": [examination.name, examination.settings],
        "models": [files_digest(Path(one)) if Path(one).is_dir() else one for one in others],
        "forget": bench.forget,
        "data": _data_digest(bench),
        "measures": [_described(measure) for measure in bench.measures],
        "model": [bench.stage.config.get("model"), bench.stage.trainer_arguments.get("precision")],
    }
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    return folder / FOLDER / f"{examination.name}-{bench.forget}-{Path(path).name}-{digest}.npz"


def _described(measure: Any) -> list[Any]:
    plain = {name: value for name, value in vars(measure).items() if not name.startswith("_")}
    return [measure.name, {name: repr(value) for name, value in plain.items()}]


def _data_digest(bench: Bench) -> list[Any]:
    """What every evaluated dataset holds, and which of its examples are read."""
    data = bench.stage.data
    whole = data.evaluation_data()
    return [
        [name, data.tokenized[name].fingerprint, len(part), None if chosen is None else chosen.tolist()]
        for name, part, chosen in zip(data.evaluation_names, whole.parts, whole.chosen, strict=True)
    ]


def read_kept(path: Path) -> list[Column] | None:
    """The numbers of a file; None where there is none, or where it is damaged.

    Args:
        path: of :func:`kept_path`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            plain = json.loads(str(file["columns"]))
            return [
                Column(**fields, values=file[f"values-{place}"], weights=file[f"weights-{place}"])
                for place, fields in enumerate(plain)
            ]
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    except Exception as error:  # of a zip file that is cut off
        if type(error).__name__ in ("BadZipFile", "error"):
            return None
        raise


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
