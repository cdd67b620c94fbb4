"""Numbers of one pass over one model, in files of their own, so that the same command goes on after a kill."""

from __future__ import annotations

import hashlib
import inspect
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

import lightning_untrac
from lightning_untrac import callbacks
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.modules.adapters import adapter_base
from lightning_untrac.runs.saved_models import raise_if_damaged
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.checksums import CHECKSUMS, file_digest, read_checksums
from lightning_untrac.tables.files import atomic_path

FOLDER: Final = "measured"
"""Below the output folder; throwing it away costs nothing but time."""

Arrays = Mapping[str, Mapping[str, Floats]]


class KeptArrays:
    """The files of a judgement's passes. Another model, other data or other settings have another file.

    The code counts too, the package's and that of measures of the user's own. Nothing is kept of hub models, whose
    weights may change under their name, nor on several machines, which may not see the same files.

    Args:
        stage: the verb's, with prepared data.
        original: the model that measures may ask for.
    """

    def __init__(self, stage: Stage, original: str) -> None:
        self.stage, self.original = stage, original
        self.is_on = not stage.fast_dev_run and int(stage.trainer_arguments.get("num_nodes") or 1) == 1
        self._shared = [package_digest(), data_digest(stage), run_settings(stage)]
        self._digests: dict[str, str | None] = {}

    def read(self, names: Sequence[str], models: Sequence[str], depends: Any) -> Arrays | None:
        """What was kept; None where nothing was, or where the file is damaged.

        Args:
            names: of the numbers.
            models: that they are of, and that they are held against.
            depends: whatever else they depend on.
        """
        path = self._path(names, models, depends)
        kept = None if path is None else read_arrays(path)
        if kept is None:
            return None
        found: dict[str, dict[str, Floats]] = {}
        for (name, dataset), array in zip(*kept, strict=True):
            found.setdefault(name, {})[dataset] = array
        return found

    @rank_zero_only
    def write(self, names: Sequence[str], models: Sequence[str], depends: Any, arrays: Arrays) -> None:
        """Keep numbers.

        Args:
            names: as of :meth:`read`.
            models: likewise.
            depends: likewise.
            arrays: of all names, maybe of more.
        """
        path = self._path(names, models, depends)
        if path is not None:
            mine = {key: of for key, of in arrays.items() if key.rpartition("/")[0] in names}
            keys = [(key, dataset) for key, of in mine.items() for dataset in of]
            write_arrays(path, keys, [mine[key][dataset] for key, dataset in keys])

    def measured(self, model: str, measures: Sequence[Measure]) -> dict[str, Mapping[str, Floats]]:
        """What was kept of measures of a model, ``<measure>/value`` and ``<measure>/weight`` to dataset to numbers.

        Args:
            model: its path.
            measures: those of which nothing was kept are not in what is returned.
        """
        found: dict[str, Mapping[str, Floats]] = {}
        for measure in measures:
            found |= self.read([measure.name], [model], described(measure)) or {}
        return found

    def keep_measured(self, model: str, measures: Sequence[Measure], arrays: Arrays) -> None:
        """Keep what was measured of a model, a file a measure.

        Args:
            model: its path.
            measures: which.
            arrays: of them.
        """
        for measure in measures:
            self.write([measure.name], [model], described(measure), arrays)

    def _path(self, names: Sequence[str], models: Sequence[str], depends: Any) -> Path | None:
        digests = [self._digest(model) for model in (*models, self.original)]
        if not self.is_on or None in digests:
            return None
        parts = [*names, *(Path(model).name for model in models), digest_of_all([digests, *self._shared, depends])]
        return self.stage.folder.path / FOLDER / f"{'-'.join(parts)}.npz"

    def _digest(self, model: str) -> str | None:
        if model not in self._digests:
            self._digests[model] = weights_digest(model)
        return self._digests[model]


def weights_digest(model: str) -> str | None:
    """Digest of all that a saved model's numbers depend on, of every byte of it; None of a model of the hub.

    Args:
        model: hub name or folder; of adapters what they stand on counts too.

    Raises:
        ConfigurationError: if a file is not what was saved.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    raise_if_damaged(folder)
    base = adapter_base(model)
    below = weights_digest(base) if base is not None else ""
    if below is None:
        return None
    known = read_checksums(folder) or {}
    digest = hashlib.sha256(below.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.name not in (CHECKSUMS, "README.md"):
            digest.update(f"{name}|{known.get(name) or file_digest(path)}".encode())
    return digest.hexdigest()[:16]


def digest_of_all(depends: Any) -> str:
    """Digest of whatever numbers depend on, 16 hex digits.

    Args:
        depends: lists and mappings of values that say what they are.
    """
    return hashlib.sha256(json.dumps(depends, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@cache
def package_digest() -> str:
    """Digest of the package's own code: numbers are read again by another version of it."""
    digest = hashlib.sha256(lightning_untrac.__version__.encode())
    for folder in (Path(lightning_untrac.__file__).parent, Path(callbacks.__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def described(measure: Any, settings: Mapping[str, Any] | None = None) -> list[Any]:
    """What the numbers of a measure or an examination depend on: its settings and its code.

    Args:
        measure: made.
        settings: what it says of itself; by default its attributes.
    """
    given = {name: value for name, value in vars(measure).items() if not name.startswith("_")}
    said = {name: repr(value) for name, value in (given if settings is None else settings).items()}
    if (other := getattr(measure, "reference_model", None)) is not None:
        said["reference_model"] = f"{other} {weights_digest(other)}"
    try:
        code = file_digest(Path(inspect.getfile(type(measure))))[:16]
    except (OSError, TypeError):  # a class without a file
        code = ""
    return [measure.name, said, code]


def data_digest(stage: Stage) -> str:
    """Digest of what every evaluated dataset holds, which of its examples are read, and whose twins it has.

    Args:
        stage: with prepared data and a plan.
    """
    data = stage.data
    whole = data.evaluation_data()
    return digest_of_all(
        [
            [
                *(name, data.tokenized[name].fingerprint, type(part).__name__, len(part), data.unseen_names(name)),
                None if chosen is None else chosen.tolist(),
            ]
            for name, part, chosen in zip(data.evaluation_names, whole.parts, whole.chosen, strict=True)
        ]
    )


def run_settings(stage: Stage) -> list[Any]:
    """Settings of the model and of the Trainer that numbers depend on.

    Args:
        stage: the verb's.
    """
    model = dict(stage.config.get("model", {}).get("init_args", {}))
    kept = {key: model.get(key) for key in ("dtype", "tokenizer", "task", "attn_implementation", "revision")}
    return [kept, stage.trainer_arguments.get("precision"), stage.data.max_length]


def read_arrays(path: Path) -> tuple[Any, list[Floats]] | None:
    """What a file holds; None where there is none, or where it is damaged.

    Args:
        path: of the file.

    Returns:
        What was said of the arrays, as JSON has it, and these.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return json.loads(str(file["said"])), [file[f"a{place}"] for place in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path, said: Any, arrays: Sequence[Floats]) -> None:
    """Write arrays, whole or not at all.

    Args:
        path: of the file.
        said: of them, of plain values.
        arrays: of any shapes.
    """
    flat: dict[str, Any] = {f"a{place}": array for place, array in enumerate(arrays)}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, said=np.array(json.dumps(said)), **flat)
