"""The output folder of a run: whose results it holds, which steps are finished, and what they cost."""

from __future__ import annotations

import json
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac import __version__
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.results import InfluenceStore, ResultsError, atomic_write_bytes, check_writable
from lightning_untrac.results.recovery import recover
from lightning_untrac.verbs.discard import discard
from lightning_untrac.verbs.identity import comparable, flat, method_of_step

VERSIONED = ("torch", "lightning", "transformers", "datasets", "torchmetrics", "wandb", "peft", "numpy")

STATE = ".untrac"
"""Hidden folder of what was claimed and finished; its presence says that a folder is ours."""

CLAIM_SECONDS = 600.0
"""How long the other ranks wait for the first one to claim a folder."""

DATA_CONTENT = "data_content."
"""Prefix of the keys that hold a digest of each dataset's texts."""


class DamageWarning(UserWarning):
    """A file was damaged and the run goes on from an earlier state."""


class RunFolder:
    """One experiment's results.

    A step (a verb, or a method of ``trace``) claims its place with its configuration. The same configuration again
    goes on where it stopped, or is skipped where it is finished; another one is refused, so that no two experiments
    ever share a table.

    Args:
        folder: where results go; made if needed.
        overwrite: throw away what a step left there under another configuration.
    """

    def __init__(self, folder: str | Path, overwrite: bool = False) -> None:
        self.path = Path(folder)
        self.overwrite = overwrite

    # -- damage ----------------------------------------------------------------------------------------------------

    def mend_tables(self) -> None:
        """Check the tables of influences, mend damaged ones, and forget that the steps that fill them are finished.

        Every rank calls this before it reads; the first one mends while the others wait for the lock. A table that is
        gone altogether counts as the user's wish to compute it anew.
        """
        if not self.state.is_dir():
            return
        store = InfluenceStore(self.path)
        with store.locked():
            damages = recover(store)
            if damages or not store.path.exists():
                for step in ("trace-*", "leave-out"):
                    for mark in self.state.glob(f"{step}.done.json"):
                        mark.unlink(missing_ok=True)
            if not store.examples_path.exists():
                for step, claim in self._claims().items():
                    if claim.get("examples"):
                        self.forget_done(step)
            if damages:
                self._note("warning", [str(damage) for damage in damages])
        for damage in damages:
            warnings.warn(str(damage), DamageWarning, stacklevel=2)

    def forget_done(self, step: str) -> None:
        """Let a step that was finished be run again."""
        (self.state / f"{step}.done.json").unlink(missing_ok=True)

    # -- claims ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The hidden folder of claims."""
        return self.path / STATE

    def problems(self, step: str, identity: dict[str, Any], ignore: Sequence[str] = ()) -> list[str]:
        """Why ``step`` can't write here.

        Args:
            step: e.g. ``trace-untrac``.
            identity: its resolved configuration, and whatever else its results depend on.
            ignore: keys that may differ.
        """
        try:
            check_writable(self.path)
        except ResultsError as error:
            return [str(error)]
        found = []
        visible = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")]
        if visible and not (self.path / STATE).exists():
            found.append(
                f"output: {self.path} holds other files ({', '.join(sorted(visible)[:3])}, ...); name a new folder"
            )
        if not self.overwrite and (differences := self._differences(step, identity, ignore)):
            more = f"; and {len(differences) - 4} more" if len(differences) > 4 else ""
            found.append(
                f"output: {self.path} holds results of '{step}' with other settings "
                f"({'; '.join(differences[:4])}{more}); name another folder, or add --overwrite to throw them away"
            )
        return found

    def claim_folder(self) -> None:
        """Say that the folder is ours."""
        self.write_json(f"{STATE}/folder.json", {"format": 1})

    def claim(self, step: str, config: dict[str, Any], identity: dict[str, Any]) -> None:
        """Take the place of ``step``, after :meth:`problems` found none.

        Args:
            step: e.g. ``trace-untrac``.
            config: its resolved configuration; written to ``<step>.yaml``, which reruns the step.
            identity: see :meth:`problems`.
        """
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self._take(step, config, identity)
            return
        # The others must not read what the first rank is about to throw away.
        deadline = time.monotonic() + CLAIM_SECONDS
        while self.read_json(f"{STATE}/{step}.claim.json", None) != flat(comparable(identity)):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    [f"output: rank 0 has not claimed {self.path} for '{step}'; all ranks need the same folder"]
                )
            time.sleep(0.05)

    def _take(self, step: str, config: dict[str, Any], identity: dict[str, Any]) -> None:
        if self.overwrite and self._differences(step, identity):
            discard(self.path, self.state, step, self._claims())
            store = InfluenceStore(self.path)
            for path in (store.path, store.examples_path):  # they hold what was just thrown away
                store.previous(path).unlink(missing_ok=True)
        self.claim_folder()
        self.write_yaml(f"{step}.yaml", config)
        self.write_json(f"{STATE}/{step}.claim.json", flat(comparable(identity)))

    def _claims(self) -> dict[str, dict[str, Any]]:
        suffix = ".claim.json"
        return {
            path.name.removesuffix(suffix): self.read_json(path.relative_to(self.path), {})
            for path in self.state.glob(f"*{suffix}")
        }

    def _differences(self, step: str, identity: dict[str, Any], ignore: Sequence[str] = ()) -> list[str]:
        before = self.read_json(f"{STATE}/{step}.claim.json", None)
        if before is None or not self._has_rows(step):
            return []
        now = flat(comparable(identity))
        # More seeds are more episodes beside the finished ones, not another experiment.
        keys = sorted(k for k in before.keys() | now.keys() if k not in ignore and not k.startswith("seeds."))
        if not any(k.startswith(DATA_CONTENT) for k in now):  # the data have not been read yet
            keys = [k for k in keys if not k.startswith(DATA_CONTENT)]
        return [f"{k}: {before.get(k)!r} there, {now.get(k)!r} now" for k in keys if before.get(k) != now.get(k)]

    def _has_rows(self, step: str) -> bool:
        """Whether a claim has come to anything: one without a reading is nobody's."""
        if not step.startswith(("trace-", "leave-out")):
            return True
        try:
            return method_of_step(step) in InfluenceStore(self.path).table()["method"].to_pylist()
        except ResultsError:
            return True

    # -- finished steps --------------------------------------------------------------------------------------------

    def is_done(self, step: str, identity: dict[str, Any]) -> bool:
        """Whether ``step`` was finished with this very configuration."""
        done = self.read_json(f"{STATE}/{step}.done.json", None)
        # A finished step is not read again: its data may have changed, or gone, since.
        return done is not None and _without_data(done) == _without_data(flat(comparable(identity)))

    def mark_done(self, step: str, identity: dict[str, Any]) -> None:
        """Remember that ``step`` is finished."""
        self.write_json(f"{STATE}/{step}.done.json", flat(comparable(identity)))

    # -- what the report reads -------------------------------------------------------------------------------------

    @contextmanager
    def costs(self, step: str) -> Iterator[None]:
        """Write the time and the peak memory of the block to ``run.json``: of its last part, if it was interrupted."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        peak = peak_memory_mb()
        costs = {cost["step"]: cost for cost in self.read_json("run.json", {}).get("costs", [])}
        costs[step] = {"step": step, "seconds": round(seconds, 2), "peak_memory_mb": round(peak, 1)}
        self.update_run(costs=list(costs.values()))

    def update_run(self, **fields: Any) -> None:
        """Set fields of ``run.json``; the command and the versions are added by themselves."""
        run = self.read_json("run.json", {})
        run |= {"versions": versions(), "command": run.get("command") or command_line(), **fields}
        self.write_json("run.json", run)

    @rank_zero_only
    def add_notes(self, level: str, texts: list[str]) -> None:
        """Add sentences to ``notes.json``, each once."""
        self._note(level, texts)

    def _note(self, level: str, texts: list[str]) -> None:
        notes = self.read_json("notes.json", [])
        notes += [note for text in texts if (note := {"level": level, "text": text}) not in notes]
        atomic_write_bytes(self.path / "notes.json", json.dumps(notes, indent=1).encode())

    def read_json(self, name: str | Path, otherwise: Any) -> Any:
        """Content of a json file of the folder, or ``otherwise`` where there is none.

        Raises:
            ConfigurationError: if it is damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text()) if path.is_file() else otherwise
        except ValueError as error:
            message = f"output: {path} is damaged ({error}); delete it and run the same command again"
            raise ConfigurationError([message]) from error

    @rank_zero_only
    def write_json(self, name: str | Path, content: Any) -> None:
        """Write a json file of the folder, whole or not at all."""
        atomic_write_bytes(self.path / name, json.dumps(content, indent=1).encode())

    @rank_zero_only
    def write_yaml(self, name: str, content: dict[str, Any]) -> None:
        """Write a configuration with the versions that it ran with in its first line."""
        head = f"# lightning-untrac {__version__}; " + ", ".join(f"{k} {v}" for k, v in versions().items()) + "\n"
        atomic_write_bytes(self.path / name, (head + yaml.safe_dump(content, sort_keys=False)).encode())


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MiB; nan where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _without_data(flat: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flat.items() if not key.startswith(DATA_CONTENT)}


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
    """The command as it could be typed again."""
    return shlex.join(["untrac", *sys.argv[1:]])


def existing_folder(folder: Path) -> None:
    """Refuse a folder without results, and mend its tables if they are damaged.

    Raises:
        ConfigurationError: if there is none.
    """
    if not (folder / STATE).exists():
        raise ConfigurationError([f"output: {folder} holds no results; name the folder of a run"])
    RunFolder(folder).mend_tables()
