"""The output folder of a run: whose results it holds, and which stages are finished."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.paths import in_the_way, path_problem
from lightning_untrac.runs.data_files import Record
from lightning_untrac.runs.differences import different_keys, refusal, without_unread
from lightning_untrac.runs.discard import discard
from lightning_untrac.runs.identity import comparable, flat
from lightning_untrac.runs.run_files import STATE, DamagedFileError, DamageWarning, RunFiles
from lightning_untrac.tables import InfluenceStore, ResultsError, check_writable
from lightning_untrac.tables.recovery import recover
from lightning_untrac.verb import method_of_stage, traits, verb_of_stage

__all__ = ["STATE", "DamageWarning", "DamagedFileError", "RunFolder", "existing_folder", "stages"]

CLAIM_SECONDS = 600.0
"""How long the other ranks wait for the first one to claim a folder."""


class RunFolder(RunFiles):
    """One experiment's results.

    A stage (a verb, or a method of ``trace``) claims its place with its configuration. The same configuration again
    goes on where it stopped, or is skipped where it is finished; another one is refused, so that no two experiments
    ever share a table.

    Args:
        folder: where results go; made if needed.
        overwrite: throw away what a stage left there under another configuration.
    """

    def __init__(self, folder: str | Path, overwrite: bool = False) -> None:
        super().__init__(folder)
        self.overwrite = overwrite

    # -- damage ----------------------------------------------------------------------------------------------------

    def mend_tables(self) -> None:
        """Check the tables of influences, mend damaged ones, and forget that the stages that fill them are finished.

        Every rank calls this before it reads; the first one mends while the others wait for the lock. Files of episodes
        that are gone count as the user's wish to compute them anew.
        """
        if not self.state.is_dir():
            return
        store = InfluenceStore(self.path)
        with store.locked():
            damages, lost = recover(store)
            if store.path in lost:
                for mark in self.state.glob("*.done.json"):
                    if traits(verb_of_stage(mark.name.removesuffix(".done.json"))).fills:
                        mark.unlink(missing_ok=True)
            if store.examples_path in lost:
                for stage, claim in self._claims().items():
                    if claim.get("examples"):
                        self.forget_done(stage)
            if damages:
                self._add_notes("warning", damages)
        for damage in damages:
            warnings.warn(damage, DamageWarning, stacklevel=2)

    # -- claims ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The hidden folder of claims."""
        return self.path / STATE

    def problems(
        self, stage: str, identity: dict[str, Any], ignore: Collection[str] = (), changed: Sequence[str] = ()
    ) -> list[str]:
        """Why ``stage`` can't write here.

        Args:
            stage: e.g. ``trace-untrac``.
            identity: its resolved configuration, and whatever else its results depend on.
            ignore: keys that may differ.
            changed: which files of the data are others than they were, a phrase each.
        """
        try:
            check_writable(self.path)
        except ResultsError as error:
            return [str(error)]
        found = [f"output: {problem}" for problem in in_the_way(self.path)]
        entries = self.path.iterdir() if self.path.is_dir() else ()
        visible = [entry.name for entry in entries if not entry.name.startswith(".")]
        if visible and not (self.path / STATE).exists():
            found.append(
                f"output: {self.path} holds other files ({', '.join(sorted(visible)[:3])}, ...); name a new folder"
            )
        if not self.overwrite:
            try:
                before, keys = self._differences(stage, identity, ignore)
                named = traits(verb_of_stage(stage)).has_option("name")
                found += refusal(self.path, stage, keys, before, flat(comparable(identity)), changed, named)
            except DamagedFileError as error:
                found += error.problems
        return found

    def claim_folder(self) -> None:
        """Say that the folder is ours."""
        self.write_json(f"{STATE}/folder.json", {"format": 1})

    def claim(self, stage: str, config: dict[str, Any], identity: dict[str, Any]) -> None:
        """Take the place of ``stage``, after :meth:`problems` found none.

        Args:
            stage: e.g. ``trace-untrac``.
            config: its resolved configuration; written to ``<stage>.yaml``, which reruns the stage.
            identity: see :meth:`problems`.
        """
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self._take(stage, config, identity)
            return
        # The others must not read what the first rank is about to throw away.
        deadline = time.monotonic() + CLAIM_SECONDS
        while self._claim(stage) != flat(comparable(identity)):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    [f"output: rank 0 has not claimed {self.path} for '{stage}'; all ranks need the same folder"]
                )
            time.sleep(0.05)

    def _take(self, stage: str, config: dict[str, Any], identity: dict[str, Any]) -> None:
        with self.locked():
            if self.overwrite and self._is_other(stage, identity):
                discard(self.path, self.state, stage, self._claims())
            self.claim_folder()
            self.write_yaml(f"{stage}.yaml", config)
            self.write_json(_claim_name(stage), flat(comparable(identity)))

    def _claim(self, stage: str) -> dict[str, Any] | None:
        """What a stage was claimed with; None where it was not, or where that can't be read."""
        return self._made_with(stage, _claim_name(stage))

    def _made_with(self, stage: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self.read_json(name, {}) or None
        except DamagedFileError:
            return None
        verb = traits(verb_of_stage(stage))
        return without_unread(found) if found is not None and (verb.trains or verb.fills) else found

    def _claims(self) -> dict[str, dict[str, Any]]:
        begun = [path.name.removesuffix(CLAIM) for path in self.state.glob(f"*{CLAIM}")]
        return {stage: self._claim(stage) or self.done(stage) or {} for stage in begun}

    def _is_other(self, stage: str, identity: dict[str, Any]) -> bool:
        try:
            return bool(self._differences(stage, identity)[1])
        except DamagedFileError:
            return True

    def _differences(
        self, stage: str, identity: dict[str, Any], ignore: Collection[str] = ()
    ) -> tuple[dict[str, Any], list[str]]:
        """What a stage's results were made with, and the keys in which ``identity`` differs from it.

        Raises:
            DamagedFileError: if nobody can say what they were made with.
        """
        # Looked for before it is read: another rank may be writing it just now.
        claimed = (self.path / _claim_name(stage)).is_file()
        before = self._claim(stage) or self.done(stage)
        if before is None and claimed and self._has_rows(stage):
            raise DamagedFileError(
                self.path / _claim_name(stage),
                "it says with which settings results were made, and can't be read",
                f"name another folder, or add --overwrite to throw the results of '{stage}' away and compute them anew",
            )
        if before is None or not self._has_rows(stage):
            return {}, []
        return before, different_keys(before, flat(comparable(identity)), ignore, more_seeds=True)

    def _has_rows(self, stage: str) -> bool:
        """Whether a claim has come to anything: one without a reading is nobody's."""
        if not traits(verb_of_stage(stage)).fills:
            return True
        try:
            return method_of_stage(stage) in InfluenceStore(self.path).table()["method"].to_pylist()
        except ResultsError:
            return True

    # -- finished stages --------------------------------------------------------------------------------------------

    def done(self, stage: str) -> dict[str, Any] | None:
        """What a stage was finished with; None where it was not, or where that can't be read: then it is run again."""
        return self._made_with(stage, _done_name(stage))

    def is_done(self, stage: str, identity: dict[str, Any], ignore: Collection[str] = ()) -> bool:
        """Whether ``stage`` was finished with these settings; data are compared where ``identity`` has read them.

        Args:
            stage: e.g. ``trace-untrac``.
            identity: see :meth:`problems`.
            ignore: keys that may differ.
        """
        done = self.done(stage)
        return done is not None and not different_keys(done, flat(comparable(identity)), ignore)

    def mark_done(self, stage: str, identity: dict[str, Any]) -> None:
        """Remember that ``stage`` is finished."""
        self.write_json(_done_name(stage), flat(comparable(identity)))

    def forget_done(self, stage: str) -> None:
        """Let a stage that was finished be run again."""
        (self.path / _done_name(stage)).unlink(missing_ok=True)

    # -- data ------------------------------------------------------------------------------------------------------

    def data_record(self, stage: str) -> Record:
        """What the files of a stage's data held when it ran; nothing where that is not known."""
        try:
            record: Record = self.read_json(_data_name(stage), {})
        except DamagedFileError:
            return {}
        return record

    def write_data_record(self, stage: str, record: Record) -> None:
        """Remember what the files of a stage's data hold."""
        self.write_json(_data_name(stage), record)


CLAIM, DONE, DATA = ".claim.json", ".done.json", ".data.json"


def _claim_name(stage: str) -> str:
    return f"{STATE}/{stage}{CLAIM}"


def _done_name(stage: str) -> str:
    return f"{STATE}/{stage}{DONE}"


def _data_name(stage: str) -> str:
    return f"{STATE}/{stage}{DATA}"


def stages(folder: str | Path) -> dict[str, bool]:
    """The stages with a model and data that have begun in an output folder, and whether each is finished.

    A stage is not finished where it was interrupted or stopped early, or where some of its episodes failed.

    Args:
        folder: an output folder.
    """
    state = Path(folder) / STATE
    begun = sorted(path.name.removesuffix(CLAIM) for path in state.glob(f"*{CLAIM}"))
    return {stage: (state / f"{stage}{DONE}").is_file() for stage in begun}


def existing_folder(folder: Path) -> None:
    """Refuse a folder without results, and mend its tables if they are damaged.

    Raises:
        ConfigurationError: if there is none.
    """
    if problem := path_problem(folder):
        raise ConfigurationError([f"output: {problem}"])
    if not (folder / STATE).exists():
        raise ConfigurationError([f"output: {folder} holds no results; name the folder of a run"])
    raise_if_any(f"output: {problem}" for problem in in_the_way(folder))
    RunFolder(folder).mend_tables()
