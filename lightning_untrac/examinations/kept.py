"""What was found of one model, in a file of its own: written whole, and read by the same command after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.runs.kept_arrays import (
    described,
    digest_of_all,
    package_digest,
    read_arrays,
    run_settings,
    weights_digest,
    write_arrays,
)

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
    digests = [weights_digest(one) for one in (path, *bench.with_roles(examination.beside))]
    if None in digests:
        return None
    stage = bench.stage
    model = {k: v for k, v in stage.config.get("model", {}).get("init_args", {}).items() if k != "name_or_path"}
    trains = [model, [stage.trainer_arguments.get(flag) for flag in OF_STEPS], stage.data.batch_size]
    depends = [
        package_digest(),
        [digests, trains],
        described(examination, examination.settings),
        [described(measure) for measure in bench.measures if examination.measures_models],
        [bench.forget, bench.data_digest, run_settings(stage)],
    ]
    return folder / FOLDER / f"{examination.name}-{bench.forget}-{Path(path).name}-{digest_of_all(depends)}.npz"


def read_kept(path: Path) -> list[Column] | None:
    """The numbers of a file; None where there is none, or where it is damaged.

    Args:
        path: of :func:`kept_path`.
    """
    if (kept := read_arrays(path)) is None:
        return None
    fields, arrays = kept
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return [Column(**one, values=values, weights=weights) for one, (values, weights) in zip(fields, pairs, strict=True)]


def write_kept(path: Path, columns: Sequence[Column]) -> None:
    """Write numbers, whole or not at all.

    Args:
        path: of :func:`kept_path`.
        columns: of one model.
    """
    names = ("measure", "dataset", "unit", "condition", "at")
    fields = [{name: getattr(column, name) for name in names} for column in columns]
    write_arrays(path, fields, [array for column in columns for array in (column.values, column.weights)])
