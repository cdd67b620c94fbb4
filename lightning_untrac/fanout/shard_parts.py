"""The shards of a stage on disk: whether they belong together and are all there, and the whole that they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_untrac.config.strict_yaml import load_yaml
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.fanout.shards import CARD, SHARDS, Key, Shard, card_problems
from lightning_untrac.naming import counted
from lightning_untrac.paths import path_problem
from lightning_untrac.runs.differences import different_keys
from lightning_untrac.runs.run_folder import STATE, RunFolder
from lightning_untrac.runs.saved_models import files_digest
from lightning_untrac.tables import InfluenceStore, ResultsError
from lightning_untrac.tables.files import check_table

PLACES = (CARD, f"*-of-*/{CARD}", f"*/*-of-*/{CARD}", f"{SHARDS}/*/*-of-*/{CARD}")
"""Where shards are in a folder that may be a shard, a stage's shards, all shards, or an output folder."""

MEND = "run the shard again, or take its folder away"

NAMED_AT_MOST = 4


@dataclass
class Part:
    """One shard on disk.

    Attributes:
        shard: which it is.
        folder: where it is.
        card: what it says about itself.
        claim: its settings, flat.
    """

    shard: Shard
    folder: RunFolder
    card: dict[str, Any]
    claim: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Part:
        """Read a shard from the path of its card.

        Raises:
            ConfigurationError: if the card or what lies beside it is none of a shard's.
        """
        folder = RunFolder(path.parent)
        card = folder.read_json(CARD, {})
        raise_if_any(f"shards: {path}: {problem}; {MEND}" for problem in card_problems(card))
        claim = folder.read_json(f"{STATE}/{card['step']}.claim.json", {})
        if not isinstance(claim, dict):
            raise ConfigurationError([f"shards: {folder.state}: its claim holds no settings; {MEND}"])
        return cls(Shard(card["number"], card["count"]), folder, card, claim)

    @property
    def all_episodes(self) -> list[Key]:
        """Those of all shards."""
        return [(dataset, seed) for dataset, seed in self.card["episodes"]]

    @property
    def episodes(self) -> list[Key]:
        """Its own."""
        return self.shard.part(self.all_episodes)

    def unfinished(self) -> list[Key]:
        """Its episodes that are not finished.

        Raises:
            ResultsError: if what it holds of others is damaged.
        """
        store, card = InfluenceStore(self.folder.path), self.card
        for path in [path for kind in store.kinds for path in kind.sources()]:
            check_table(path)
        finished = store.finished_episodes(card["method"], card["episode_key"], examples=self.has_examples)
        return [episode for episode in self.episodes if episode not in finished]

    @property
    def has_examples(self) -> bool:
        """Whether it was to write scores of single examples."""
        return bool(self.claim.get("examples"))

    @property
    def is_marked_done(self) -> bool:
        """Whether it was finished with these very settings."""
        done = self.folder.done(self.card["step"])
        return done is not None and not different_keys(done, self.claim)

    def command(self, shard: Shard) -> str:
        """The command that runs ``shard``, from the one that ran this."""
        command = str(self.folder.facts().get("command", f"untrac {self.card['step']}"))
        flag = f"--shard {shard}"
        return re.sub(r"--shard[ =]\S+", flag, command) if "--shard" in command else f"{command} {flag}"


@dataclass
class Parts:
    """All shards of a stage that were found."""

    stage: str
    shards: list[Part]

    @property
    def method(self) -> str:
        """Name in the tables."""
        return str(self.shards[0].card["method"])

    @property
    def episodes(self) -> list[Key]:
        """Of all shards."""
        return self.shards[0].all_episodes

    def problems(self, whole: RunFolder) -> list[str]:
        """Why they can't be joined into ``whole``."""
        found = self._numbers() or self._differences()
        for part in self.shards:
            found += self._of_one(part)
        if found:
            return found
        claim = self.shards[0].claim
        try:
            load_yaml(self.shards[0].folder.path / f"{self.stage}.yaml")
        except ConfigurationError as error:
            return [f"{self.stage}: {problem}; run the shard again" for problem in error.problems]
        return [*whole.problems(self.stage, claim), *self._changed_models(whole, claim)]

    def _numbers(self) -> list[str]:
        first = self.shards[0]
        counts = sorted({part.shard.count for part in self.shards})
        if len(counts) > 1:
            folders = ", ".join(str(part.folder.path) for part in self.shards)
            return [
                f"{self.stage}: there are shards of {' and of '.join(map(str, counts))} ({folders}); delete the "
                "folders of those that don't count, or name the others with --shards"
            ]
        there = [part.shard.number for part in self.shards]
        found = [
            f"{self.stage}: shard {part.shard} is there more than once (also in {part.folder.path}); name one of them"
            for index, part in enumerate(self.shards)
            if part.shard.number in there[:index]
        ]
        missing = [number for number in range(1, counts[0] + 1) if number not in there]
        if missing:
            names = ", ".join(f"{number}/{counts[0]}" for number in missing)
            command = first.command(Shard(missing[0], counts[0]))
            found.append(f"{self.stage}: shard {names} missing; run: {command}" + (" and so on" * (len(missing) > 1)))
        return found

    def _differences(self) -> list[str]:
        first = self.shards[0]
        found = []
        for part in self.shards[1:]:
            other = different_keys(first.claim, part.claim)
            named = [f"{key}: {first.claim.get(key)!r} and {part.claim.get(key)!r}" for key in other[:NAMED_AT_MOST]]
            named += [f"and {len(other) - NAMED_AT_MOST} more"] if len(other) > NAMED_AT_MOST else []
            if not named and part.all_episodes != first.all_episodes:
                named = ["their lists of episodes"]
            if named:
                found.append(
                    f"{self.stage}: shards {first.shard} and {part.shard} were run with other settings "
                    f"({'; '.join(named)}); run them all with the same"
                )
        return found

    def _of_one(self, part: Part) -> list[str]:
        try:
            unfinished = part.unfinished()
        except ResultsError as error:
            return [f"{self.stage}: shard {part.shard}: {error}"]
        if not unfinished and part.is_marked_done:
            return []
        done = len(part.episodes) - len(unfinished)
        return [
            f"{self.stage}: shard {part.shard} is not finished ({done} of {counted(len(part.episodes), 'episode')}); "
            f"run: {part.command(part.shard)}"
        ]

    def _changed_models(self, whole: RunFolder, claim: dict[str, Any]) -> list[str]:
        """Whether the shards are of a model that was trained anew since."""
        trained = claim.get("trained_model") or str(whole.path / "model")
        found = []
        for key, name in (("model_files", claim.get("model.init_args.name_or_path")), ("trained_model_files", trained)):
            if key in claim and name and Path(name).is_dir() and files_digest(Path(name)) != claim[key]:
                found.append(
                    f"{self.stage}: {name} is another model than when the shards were run; run them again, with "
                    "--overwrite"
                )
        return found


def find_parts(whole: RunFolder, named: Sequence[Path]) -> tuple[list[Parts], list[str]]:
    """The shards that are to be joined, by stage.

    Args:
        whole: the output folder.
        named: folders to look in instead of the output folder.

    Returns:
        The shards of each stage, and what is wrong with where they should be.
    """
    problems = [f"shards: {problem}" for folder in named if (problem := path_problem(folder))]
    if problems:
        return [], problems
    problems = [f"shards: there is no folder {folder}" for folder in named if not folder.is_dir()]
    found: dict[str, dict[Path, Part]] = {}
    for folder in [folder for folder in named if folder.is_dir()] or [whole.path / SHARDS] * (not named):
        paths = sorted(path for place in PLACES for path in folder.glob(place))
        if not paths:
            problems.append(
                f"shards: there are none in {folder}; run a verb with --shard i/n and the same --output, or name the "
                "folders with --shards FOLDER FOLDER"
            )
        for path in paths:
            try:
                part = Part.read(path)
            except ConfigurationError as error:
                problems += error.problems
                continue
            found.setdefault(part.card["step"], {})[path.resolve()] = part
    return [
        Parts(stage, sorted(parts.values(), key=lambda part: (part.shard.count, part.shard.number)))
        for stage, parts in sorted(found.items())
    ], problems


def join(parts: Parts, whole: RunFolder) -> None:
    """Write the whole, after :meth:`Parts.problems` found none.

    Args:
        parts: all shards of a stage.
        whole: the output folder.
    """
    first = parts.shards[0]
    config = load_yaml(first.folder.path / f"{parts.stage}.yaml")
    whole.claim(parts.stage, {**config, "shard": None, "output": str(whole.path)}, first.claim)
    whole.write_data_record(parts.stage, first.folder.data_record(parts.stage))
    for part in parts.shards:
        InfluenceStore(whole.path).unpack(InfluenceStore(part.folder.path).packed())
    runs = [part.folder.facts() for part in parts.shards]
    own = [cost for run in runs for cost in run.get("costs", []) if cost["step"] == parts.stage]
    if own:
        seconds, memory = round(sum(cost["seconds"] for cost in own), 2), max(cost["peak_memory_mb"] for cost in own)
        whole.add_cost({"step": parts.stage, "seconds": seconds, "peak_memory_mb": memory})
    kept: dict[str, Any] = {key: runs[0][key] for key in ("data", "asked", "versions") if key in runs[0]}
    kept["methods"] = {**whole.facts().get("methods", {}), **runs[0].get("methods", {})}
    whole.update_run(**kept)
    for part in parts.shards:
        for note in part.folder.notes():
            whole.add_notes(note["level"], [note["text"]])
    whole.add_notes("warning", _other_versions(parts, [run.get("versions", {}) for run in runs]))
    whole.mark_done(parts.stage, first.claim)


def _other_versions(parts: Parts, versions: Sequence[dict[str, str]]) -> list[str]:
    names = sorted({name for of_one in versions for name in of_one})
    differing = [name for name in names if len({of_one.get(name) for of_one in versions}) > 1]
    if not differing:
        return []
    return [f"{parts.stage}: the shards were run with different versions of {', '.join(differing)}"]
