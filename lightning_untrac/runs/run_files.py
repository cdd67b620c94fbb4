"""The small files of an output folder: read with care, changed by one process at a time, and kept twice."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac import __version__
from lightning_untrac.errors import ConfigurationError, DamageWarning
from lightning_untrac.memory import forget_peak, peak_mb, release
from lightning_untrac.redaction import hidden, redacted, redacted_arguments
from lightning_untrac.results.run_facts import sound_facts, sound_notes
from lightning_untrac.tables import atomic_write_bytes
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.recovery import set_aside

VERSIONED = ("torch", "lightning", "transformers", "datasets", "torchmetrics", "wandb", "peft", "numpy")

STATE = ".untrac"
"""Hidden folder of what was claimed and finished; its presence says that a folder is ours."""

KEPT_TWICE = ("run.json", "notes.json", "pretrain.json")
"""Files that no finished stage would write again; a copy of each lies in the hidden folder."""


class DamagedFileError(ConfigurationError):
    """A json file can't be read, or holds something else than it should.

    Args:
        path: of the file.
        cause: what is wrong with it.
        advice: what to do about it.
    """

    def __init__(self, path: Path, cause: str, advice: str) -> None:
        super().__init__([f"output: {path} is damaged ({cause}); {advice}"])
        self.cause = cause


class RunFiles:
    """The json and yaml files of an output folder.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from changing the folder's files and tables."""
        return locked(self.path)

    # -- reading and writing ---------------------------------------------------------------------------------------

    def read_json(self, name: str | Path, otherwise: Any) -> Any:
        """Content of a json file of the folder, or ``otherwise`` where there is none.

        Of those that are kept twice the copy is read where the file is damaged or gone; that is said.

        Args:
            name: of the file.
            otherwise: also says which type the content has to have, unless it is None.

        Raises:
            DamagedFileError: if it is damaged, and there is no sound copy.
        """
        path, copy = self.path / name, self.path / STATE / name
        if str(name) not in KEPT_TWICE or not copy.is_file():
            return _read(path, otherwise) if path.is_file() else otherwise
        content, cause = _look(path, otherwise)
        if cause is None:
            return content
        with self.locked():
            content, cause = _look(path, otherwise)  # another process may have written it in between
            if cause is None:
                return content
            content = _read(copy, otherwise)
            written = (content or cause != "is empty") and self._restore(path, content)
        if written:
            warnings.warn(f"{path} {cause}; it was written again from the copy in {STATE}", DamageWarning, stacklevel=2)
        return content

    @staticmethod
    def _restore(path: Path, content: Any) -> bool:
        """Whether this process is the one that writes the file again."""
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
            return False
        try:
            atomic_write_bytes(path, json.dumps(content, indent=1).encode())
        except OSError:  # a folder that is only read from
            return False
        return True

    @rank_zero_only
    def write_json(self, name: str | Path, content: Any) -> None:
        """Write a json file of the folder, whole or not at all."""
        self._write(name, content)

    def _write(self, name: str | Path, content: Any) -> None:
        text = json.dumps(content, indent=1).encode()
        with self.locked():  # a file and its copy are of one writer
            if str(name) in KEPT_TWICE:
                atomic_write_bytes(self.path / STATE / name, text)
            atomic_write_bytes(self.path / name, text)

    @rank_zero_only
    def write_yaml(self, name: str, content: dict[str, Any]) -> None:
        """Write a configuration, without its secrets, with the versions that it ran with in its first line."""
        head = f"# lightning-untrac {__version__}; " + ", ".join(f"{k} {v}" for k, v in versions().items()) + "\n"
        atomic_write_bytes(self.path / name, (head + yaml.safe_dump(redacted(content), sort_keys=False)).encode())

    # -- what the report reads -------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """``run.json``: title, command, versions, data and costs; nothing of what is damaged beyond repair."""
        return sound_facts(self._or_nothing("run.json", {}))

    def notes(self) -> list[dict[str, str]]:
        """``notes.json``: sentences that a reader of the results should know, each with its level."""
        return sound_notes(self._or_nothing("notes.json", []))

    def _or_nothing(self, name: str, nothing: Any) -> Any:
        with contextlib.suppress(DamagedFileError):
            return self.read_json(name, nothing)
        with self.locked():
            return self._without_damage(name, nothing)

    def _without_damage(self, name: str, nothing: Any) -> Any:
        try:
            return self.read_json(name, nothing)  # another process may have written it in between
        except DamagedFileError as error:
            if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
                with contextlib.suppress(OSError):
                    aside = set_aside(self.path / name)
                    warnings.warn(
                        f"{self.path / name} is damaged ({error.cause}) and has no sound copy; it was moved to "
                        f"{aside.name}, and what it held is missing from the report",
                        DamageWarning,
                        stacklevel=4,
                    )
            return nothing

    @contextmanager
    def costs(self, stage: str) -> Iterator[None]:
        """Write the time and the peak memory of the block to ``run.json``: of its last part, if it was interrupted.

        The command is written before it. The memory of earlier stages is given back first, and does not count.
        """
        self._add_command(stage)
        release()
        forget_peak()
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.add_cost({"step": stage, "seconds": round(seconds, 2), "peak_memory_mb": round(peak_mb(), 1)})

    @rank_zero_only
    def _add_command(self, stage: str) -> None:
        self.add_to_run(commands={stage: command_line()})

    @rank_zero_only
    def add_cost(self, cost: dict[str, Any]) -> None:
        """Write what a stage took to ``run.json``.

        Args:
            cost: ``step``, ``seconds`` and ``peak_memory_mb`` (MiB).
        """
        with self.locked():
            costs = {known["step"]: known for known in self.facts().get("costs", [])}
            costs[cost["step"]] = cost
            self.update_run(costs=list(costs.values()))

    @rank_zero_only
    def update_run(self, **fields: Any) -> None:
        """Set fields of ``run.json``; the command and the versions are added by themselves."""
        with self.locked():
            run = self.facts()
            run |= {"versions": versions(), "command": run.get("command") or command_line(), **fields}
            self._write("run.json", run)

    @rank_zero_only
    def add_to_run(self, **fields: Mapping[str, Any]) -> None:
        """Add entries to fields of ``run.json`` that are mappings, beside those that other commands have written.

        Args:
            fields: the new entries of each field; what is there and no mapping makes room for them.
        """
        with self.locked():
            run = self.facts()
            known = {name: run[name] if isinstance(run.get(name), Mapping) else {} for name in fields}
            self.update_run(**{name: {**known[name], **entries} for name, entries in fields.items()})

    @rank_zero_only
    def add_notes(self, level: str, texts: list[str]) -> None:
        """Add sentences to ``notes.json``, each once."""
        self._add_notes(level, texts)

    def _add_notes(self, level: str, texts: list[str]) -> None:
        with self.locked():
            notes = self.notes()
            notes += [note for text in map(hidden, texts) if (note := {"level": level, "text": text}) not in notes]
            self._write("notes.json", notes)


def _look(path: Path, otherwise: Any) -> tuple[Any, str | None]:
    """Content of a file, and why it does not count."""
    if not path.is_file():
        return otherwise, "is gone"
    try:
        content = _read(path, otherwise)
    except DamagedFileError as error:
        return otherwise, f"is damaged ({error.cause})"
    return content, None if content else "is empty"


def _read(path: Path, otherwise: Any) -> Any:
    advice = "delete it, and the command that wrote it writes it again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, str(error) or type(error).__name__, advice) from error
    if otherwise is not None and not isinstance(content, type(otherwise)):
        cause = f"it holds a {type(content).__name__} where a {type(otherwise).__name__} was expected"
        raise DamagedFileError(path, cause, advice)
    return content


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {package: _version(package) for package in VERSIONED}
    known = {package: number for package, number in found.items() if number is not None}
    return {"lightning-untrac": __version__, "python": sys.version.split()[0], **known}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def command_line() -> str:
    """The command as it could be typed again; secrets are not in it."""
    return shlex.join(["untrac", *redacted_arguments(sys.argv[1:])])
