"""Models that a stage saved in the output folder: which one a later stage used, and whether it is still whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.members import member_folders
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import trained_from
from lightning_untrac.tables.checksums import CHECKSUMS, damaged_files, file_digest, read_checksums


def saved_model(folder: Path, name: str) -> str | None:
    """Path of a model that an earlier stage saved, or None."""
    path = folder / name
    return str(path) if path.is_dir() else None


def use_saved_model(config: Any, output: str, name: str, named: bool = False) -> Path | None:
    """Let the model default to one that an earlier stage saved in the output folder.

    A configuration file that was written for ``pretrain`` holds ``model.config``, which would make a new model with
    random weights, or the ``model.name_or_path`` that training started from; the saved model takes its place.

    Args:
        config: a verb's configuration; its model's path is filled in.
        output: the output folder.
        name: of the saved model's folder in it.
        named: whether a model that is named is meant itself, also where training started from it.

    Returns:
        The local folder of the model that is used, or None for a model of the hub.
    """
    settings, folder = config.model.init_args, Path(output)
    given = settings.get("name_or_path")
    starts = given is not None and not named and _is(given, trained_from(folder))
    if (given is None or starts) and (saved := saved_model(folder, name)) is not None:
        settings.name_or_path, settings.config = saved, None
        if starts:
            say(f"model: {saved}, which {'begins as' if name == 'initial_model' else 'was trained from'} {given}")
    path = Path(settings.name_or_path) if settings.get("name_or_path") else None
    return path if path is not None and path.is_dir() else None


def _is(given: str, trained: str | None) -> bool:
    """Whether two names are of one model."""
    return trained is not None and (given == trained or Path(given).resolve() == Path(trained).resolve())


def damage_of(folder: Path) -> list[str]:
    """What is wrong with a model that a finished stage has saved; nothing where it is whole."""
    if not folder.is_dir():
        return [f"{folder} is missing"]
    return [f"{folder}: {damage}" for damage in damaged_files(folder)]


def raise_if_damaged(folder: Path) -> None:
    """Hold a saved model against the checksums that were saved with it, if any were.

    Raises:
        ConfigurationError: if a file is not what was saved.
    """
    if damaged := damaged_files(folder):
        raise ConfigurationError([_damaged_model(folder, damage) for damage in damaged])


def files_digest(folder: Path) -> str:
    """Digest of a saved model's weights, so that a stage notices when the model under it has changed.

    A folder that was saved with checksums is held against them. Without them, large files are told apart by their size
    and their first and last 16 MiB.

    Raises:
        ConfigurationError: if a file is not what was saved.
    """
    raise_if_damaged(folder)
    return digest_of(folder)


def digest_of(folder: Path) -> str:
    """The same of any model, as its checksums say, whether or not its files are still what was saved."""
    try:
        members = member_folders(str(folder))
    except ConfigurationError:
        members = []
    patterns = ("*.safetensors", "*.bin", "config.json", "adapter_config.json")
    paths = sorted(path for pattern in patterns for part in (folder, *members) for path in part.glob(pattern))
    digest = hashlib.sha256()
    part = 16 * 2**20
    known = read_checksums(folder) or {}
    for path in paths:
        size = path.stat().st_size
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}|{size}|{known.get(name, '')}".encode())
        if name not in known:
            with path.open("rb") as file:
                digest.update(file.read(part))
                file.seek(max(0, size - part))
                digest.update(file.read(part))
    return digest.hexdigest()[:16]


def tokenizer_digest(folder: Path) -> str:
    """Digest of the files of a tokenizer; weights that lie beside it do not count."""
    weights = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack", ".onnx")
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix not in weights):
        digest.update(f"{path.name}|{file_digest(path)}".encode())
    return digest.hexdigest()[:16]


def _damaged_model(folder: Path, damage: str) -> str:
    mended = "put back a copy of it"
    if folder.name in ("model", "initial_model"):
        mended = "run the `untrac pretrain` that made it again, which saves it anew from its last sound checkpoint"
    elif folder.name.startswith("unlearned-"):
        mended = f"delete {folder} and run the `untrac unlearn` that made it again"
    return f"model: {folder}: {damage}; {mended} (or delete {CHECKSUMS}, if you changed the folder yourself)"
